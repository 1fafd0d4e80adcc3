"""What a process that trains does first."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import threading
import time
from contextlib import suppress

import psutil

# glibc's <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
GIB = 1 << 30
BUSY = 60.0
"""Percent of all processors that others use."""
BRIEF_SPIN = "1000"
WORKER = "engine.learning.worker"
STARTING = 60.0
"""Seconds in which an engine may be alive and not yet busy."""


def warm_up() -> None:
    """Begin to import torch in a thread, which is most of a start; settle before that what can't be settled later."""
    keep_freed_memory()
    share_processors()
    threading.Thread(target=_import_torch, name="import-torch", daemon=True).start()


def keep_freed_memory() -> None:
    """Let glibc keep what is freed. It gives large blocks back at once, and each step would get the same ones again
    page by page: four of five page faults of a step on a CPU. Elsewhere nothing happens."""
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, GIB)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * GIB - 1)


def share_processors() -> None:
    """Where others keep the processors busy, let threads that wait for each other yield soon.

    OpenMP's threads spin while they wait, which costs nothing alone (yielding would: 12 % of training). Of two
    trainings on the same cores each would wait for threads that the other's spinning keeps from running: each got
    0.15 of its speed alone, and gets half of it where one of the two yields. What the user chose stays.
    """
    if os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        return
    if psutil.cpu_percent(interval=0.05) >= BUSY or starting_engines():
        os.environ["GOMP_SPINCOUNT"] = BRIEF_SPIN
        print("others use the processors, or are about to: threads that wait yield soon", file=sys.stderr)


def starting_engines() -> list[int]:
    """Pids of other engines that started so recently that their load may not show yet."""
    myself = psutil.Process()
    own = {myself.pid, *(parent.pid for parent in myself.parents())}  # torchrun's command line names the engine too
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            recent = process.pid not in own and time.time() - process.create_time() < STARTING
            if recent and WORKER in process.cmdline():
                found.append(process.pid)
    return found


def _import_torch() -> None:
    with suppress(ImportError):
        importlib.import_module("torch")
