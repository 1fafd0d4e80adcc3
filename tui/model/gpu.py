"""One line about this machine's GPUs; silent where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

GIB = 1 << 30


@dataclass(frozen=True)
class Gpu:
    """What one GPU is doing: bytes in use of all, load in percent (None where the driver does not report it)."""

    name: str
    used: int
    total: int
    load: int | None


class GpuMeter:
    """Asks NVIDIA's driver. The library is loaded on the first question, and not asked again where it failed."""

    def __init__(self, library: Any = None) -> None:
        """`library` stands in for pynvml."""
        self._library = library
        self._works: bool | None = None

    def read(self) -> list[Gpu]:
        """All GPUs, [] where there are none or they can't be asked. May take some tenths of a second at first."""
        if self._works is None:
            self._works = self._start()
        if not self._works:
            return []
        try:
            return [self._gpu(number) for number in range(self._library.nvmlDeviceGetCount())]
        except self._library.NVMLError:
            self._works = False
            return []

    def _start(self) -> bool:
        try:
            if self._library is None:
                import pynvml

                self._library = pynvml
            self._library.nvmlInit()
        except (ImportError, OSError):
            return False
        except self._library.NVMLError:
            return False
        return True

    def _gpu(self, number: int) -> Gpu:
        handle = self._library.nvmlDeviceGetHandleByIndex(number)
        memory = self._library.nvmlDeviceGetMemoryInfo(handle)
        name = self._library.nvmlDeviceGetName(handle)
        try:
            load: int | None = int(self._library.nvmlDeviceGetUtilizationRates(handle).gpu)
        except self._library.NVMLError:
            load = None
        return Gpu(name.decode() if isinstance(name, bytes) else str(name), int(memory.used), int(memory.total), load)


def gpu_line(gpus: list[Gpu]) -> str:
    """One line on all GPUs, "" for none. A GPU's name comes from its driver: show() it."""
    if not gpus:
        return ""
    used, total = sum(gpu.used for gpu in gpus), sum(gpu.total for gpu in gpus)
    loads = [gpu.load for gpu in gpus if gpu.load is not None]
    names = sorted({gpu.name for gpu in gpus})
    parts = [f"{f'{len(gpus)} × ' if len(gpus) > 1 else ''}{', '.join(names)}"]
    parts.append(f"{used / GIB:.1f} of {total / GIB:.0f} GiB")
    if loads:
        low, high = min(loads), max(loads)
        parts.append(f"load {low} %" if low == high else f"load {low} to {high} %")
    return " · ".join(parts)
