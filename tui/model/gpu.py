"""One line about this machine's GPUs; silent where there are none."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.errors import UserError
from engine.rundir.layout import RunDir

GIB = 1 << 30
CELSIUS_OF_THE_GPU = 0
"""NVML_TEMPERATURE_GPU"""


@dataclass(frozen=True)
class Gpu:
    """What one GPU is doing: bytes in use of all, load in percent, temperature in °C (None where the driver does not
    report it)."""

    name: str
    used: int
    total: int
    load: int | None
    celsius: int | None = None


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
        return Gpu(
            name=name.decode() if isinstance(name, bytes) else str(name),
            used=int(memory.used),
            total=int(memory.total),
            load=self._known(lambda: self._library.nvmlDeviceGetUtilizationRates(handle).gpu),
            celsius=self._known(lambda: self._library.nvmlDeviceGetTemperature(handle, CELSIUS_OF_THE_GPU)),
        )

    def _known(self, ask: Callable[[], Any]) -> int | None:
        try:
            return int(ask())
        except self._library.NVMLError:
            return None


def gpus_of(run: RunDir, meter: GpuMeter) -> list[Gpu]:
    """The GPUs of this machine; [] where the run trains, or trained, on another one."""
    try:
        info = run.info
    except UserError:
        return []
    return meter.read() if info is not None and info.host == platform.node() else []


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
        parts.append(f"load {_range(loads)} %")
    if degrees := _degrees(gpus):
        parts.append(degrees)
    return " · ".join(parts)


def gpu_brief(gpus: list[Gpu]) -> str:
    """Load, memory and the highest temperature, short enough for the status line; "" for no GPU."""
    if not gpus:
        return ""
    used, total = sum(gpu.used for gpu in gpus), sum(gpu.total for gpu in gpus)
    loads = [gpu.load for gpu in gpus if gpu.load is not None]
    load = f"{_range(loads)} %" if loads else ""
    return " ".join(part for part in ("GPU", load, f"{used / GIB:.0f}/{total / GIB:.0f}G", _degrees(gpus)) if part)


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _degrees(gpus: list[Gpu]) -> str:
    known = [gpu.celsius for gpu in gpus if gpu.celsius is not None]
    return f"{max(known)} °C" if known else ""
