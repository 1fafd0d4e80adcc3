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

from engine.early import WORKER

# glibc's <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
GIB = 1 << 30
BUSY = 60.0
"""Percent of all processors that others use."""
LOOK_SECONDS = 0.05
BRIEF_SPIN = "1000"
STARTING = 60.0
"""Seconds in which an engine may be alive and not yet busy."""


def warm_up(module: str = "torch") -> threading.Event:
    """Begin to import torch in a thread, or a module that imports it, which is most of a start. The event is set once
    that is settled which can't be settled when torch is there; nothing else may import it before."""
    keep_freed_memory()
    settled = threading.Event()
    threading.Thread(target=_import, args=(module, settled), name="import-torch", daemon=True).start()
    return settled


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
    if others_at_work() >= BUSY or starting_engines():
        os.environ["GOMP_SPINCOUNT"] = BRIEF_SPIN
        print("others use the processors, or are about to: threads that wait yield soon", file=sys.stderr)


def others_at_work() -> float:
    """Percent of all processors that others than this process, and the one that started it, use now."""
    own = [psutil.Process(), *psutil.Process().parents()[:1]]
    before, since = _seconds_of(own), time.monotonic()
    percent: float = psutil.cpu_percent(interval=LOOK_SECONDS)
    spent = (_seconds_of(own) - before) / (time.monotonic() - since)
    return percent - 100 * spent / (psutil.cpu_count() or 1)


def _seconds_of(processes: list[psutil.Process]) -> float:
    """Seconds of a processor that the processes took so far."""
    seconds = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


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


def _import(module: str, settled: threading.Event) -> None:
    try:
        share_processors()
    finally:
        settled.set()
    with suppress(ImportError):
        importlib.import_module(module)
