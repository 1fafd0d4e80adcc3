"""What a device is still computing: its values, read when they are there, and when it comes to a point."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from engine.learning.encoder.dropout import untyped


class PendingTensor:
    """A tensor on its way from the device to the processor, which goes on; on a CPU it is there at once."""

    def __init__(self, values: Tensor) -> None:
        self._ready: Any = None
        if values.device.type == "cuda":
            # Not waiting means pinned memory here: torch copies from the GPU to no other without waiting.
            values = values.to("cpu", non_blocking=True)
            self._ready = untyped(torch.cuda.Event)()
            self._ready.record()
        self._values = values

    def read(self) -> Tensor:
        """The values, on the processor; waits for them where they are still being computed."""
        if self._ready is not None:
            self._ready.synchronize()
        return self._values.cpu()


class Moment:
    """When the device has done all that it was given so far. On a GPU that is known once it has, on a CPU it is now."""

    def __init__(self, device: torch.device) -> None:
        self.event: Any = None
        self.time = 0.0
        if device.type == "cuda":
            self.event = untyped(torch.cuda.Event)(enable_timing=True)
            self.event.record()
        else:
            self.time = time.perf_counter()

    def seconds_since(self, earlier: Moment) -> float:
        """The GPU must have come to both."""
        if self.event is not None:
            return float(earlier.event.elapsed_time(self.event)) / 1e3
        return self.time - earlier.time
