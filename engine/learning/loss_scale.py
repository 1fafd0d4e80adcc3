"""Loss scaling for float16 (Micikevicius et al. 2018, arXiv 1710.03740): small gradients would round to zero."""

from __future__ import annotations

import torch
from torch import Tensor

START, LEAST, MOST = 2.0**16, 2.0**-6, 2.0**24
GROW_AFTER = 2000
"""Steps without an overflow until the scale is doubled, as in torch's GradScaler."""


class LossScale:
    """The factor of the loss. It is halved where a gradient overflows, and that step changes nothing.

    All is kept on the device, so that no step waits for it: `state` float32[2] holds the scale and the number of
    steps since it changed. Without `enabled` the scale is 1 and stays so.
    """

    def __init__(self, device: torch.device, *, enabled: bool) -> None:
        self.enabled = enabled
        self.state = torch.tensor([START if enabled else 1.0, 0.0], device=device)

    @property
    def factor(self) -> Tensor:
        """float32[]"""
        return self.state[0]

    def unscale(self, gradients: list[Tensor]) -> None:
        """Divide gradients by the scale, in place."""
        if self.enabled and gradients:
            torch._foreach_mul_(gradients, 1.0 / self.factor)

    def update(self, finite: Tensor) -> None:
        """Take note of a step; `finite` float32[] is 1 where all of its gradients were finite."""
        if not self.enabled:
            return
        scale, since = self.state.unbind()
        grown = torch.where(since + 1 >= GROW_AFTER, (scale * 2).clamp(max=MOST), scale)
        counted = torch.where(since + 1 >= GROW_AFTER, torch.zeros_like(since), since + 1)
        good = finite > 0
        self.state = torch.stack(
            (torch.where(good, grown, scale / 2), torch.where(good, counted, torch.zeros_like(since)))
        )

    @property
    def exhausted(self) -> Tensor:
        """float32[]: 1 where the scale has become so small that the numbers themselves must be wrong."""
        return (self.factor < LEAST).float()
