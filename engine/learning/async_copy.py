"""Values that a device is still computing, read when they are there."""

from __future__ import annotations

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
