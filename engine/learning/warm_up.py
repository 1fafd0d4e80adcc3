"""What a process that trains does first."""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
from contextlib import suppress

# glibc's <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
GIB = 1 << 30


def warm_up() -> None:
    """Begin to import torch in a thread, which is most of a start, and keep freed memory for the next step."""
    keep_freed_memory()
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


def _import_torch() -> None:
    with suppress(ImportError):
        importlib.import_module("torch")
