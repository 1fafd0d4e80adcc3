"""Dropout masks on a CPU, many times faster than torch's: 15 random bits a value, compared with a threshold.

The masks of a step are a pure function of (seed, step, the window's place in the global batch): they are the same
in a resumed run and for any number of processes, and nothing about them has to be saved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BITS = 15


class DropoutMasks:
    """The random words of one training step, drawn in the order in which the forward pass asks for them."""

    def __init__(self, seed: int, step: int, places: list[int], lengths: list[int]) -> None:
        self.lengths = lengths
        self._streams = [np.random.SFC64((seed, step, place, 0x44524F50)) for place in places]
        self._common = np.random.SFC64((seed, step, 0x434F4D4D))

    def state(self) -> list[Any]:
        """Where each stream of words stands."""
        return [stream.state for stream in (*self._streams, self._common)]

    def restore(self, state: list[Any]) -> None:
        """Draw the same words again, from where `state` was taken."""
        for stream, known in zip((*self._streams, self._common), state, strict=True):
            stream.state = known

    def kept(self, rows: int, width: int, p: float) -> Tensor:
        """int16[rows, width]: all bits set where a value is kept, none where it is dropped (with probability p).

        Rows beyond the windows' tokens are kept.
        """
        mask = np.empty((rows, width), dtype=np.int16)
        low = 0
        for stream, length in zip(self._streams, self.lengths, strict=True):
            part = mask[low : low + length]
            np.subtract(_words(stream, part.size).reshape(part.shape), threshold(p), out=part)
            part >>= BITS
            low += length
        mask[low:] = 0
        np.invert(mask, out=mask)
        return torch.from_numpy(mask)

    def kept_of_all(self, rows: int, width: int, p: float) -> Tensor:
        """As `kept`, for values that all windows of the step share: the same in every process."""
        mask = _words(self._common, rows * width).reshape(rows, width)
        mask -= threshold(p)
        mask >>= BITS
        return torch.from_numpy(np.invert(mask, out=mask))

    def dropped_signs(self, window: int, shape: tuple[int, ...], p: float) -> Tensor:
        """int16 of `shape` for one window: the highest bit set where a value is dropped, else 0."""
        signs = _words(self._streams[window], int(np.prod(shape)))
        signs -= threshold(p)
        signs &= np.int16(-1 << BITS)
        return torch.from_numpy(signs.reshape(shape))


def threshold(p: float) -> np.int16:
    """Words below this are dropped."""
    return np.int16(round(p * (1 << BITS)))


def scale(p: float) -> float:
    """What kept values are multiplied by, so that the mean stays."""
    return 1.0 / (1.0 - int(threshold(p)) / (1 << BITS))


def _words(stream: np.random.SFC64, count: int) -> NDArray[np.int16]:
    raw: Any = stream.random_raw(-(-count // 4))
    words: NDArray[np.int16] = raw.view(np.int16)[:count]
    words &= np.int16((1 << BITS) - 1)
    return words


def _masked(x: Tensor, mask: Tensor) -> Tensor:
    """`x` where `mask` has its bits set, else 0."""
    bits = torch.int16 if x.element_size() == 2 else torch.int32
    return x.contiguous().view(bits).bitwise_and(mask.to(bits)).view(x.dtype)


def untyped(thing: Any) -> Any:
    """torch declares no types for some of its functions."""
    return thing


class _AddDropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor | None, x: Tensor, mask: Tensor, factor: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.factor, ctx.dtype, ctx.residual = factor, x.dtype, residual is not None
        kept = _masked(x, mask)
        return kept * factor if residual is None else torch.add(residual, kept, alpha=factor)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        (grad,) = grads
        return grad if ctx.residual else None, _masked((grad * ctx.factor).to(ctx.dtype), mask), None, None


def add_dropped(residual: Tensor | None, x: Tensor, masks: DropoutMasks | None, p: float) -> Tensor:
    """residual + dropout(x) for x [T, H]; dropout(x) where `residual` is None.

    On a CPU nothing is dropped without `masks`.
    """
    if p == 0.0 or (masks is None and x.device.type == "cpu"):
        return x if residual is None else residual + x
    if masks is None:
        dropped = torch.nn.functional.dropout(x, p)
        return dropped if residual is None else residual + dropped
    result: Tensor = untyped(_AddDropped).apply(residual, x, masks.kept(x.shape[0], x.shape[1], p), scale(p))
    return result


def dropped_for_all(x: Tensor, masks: DropoutMasks | None, p: float) -> Tensor:
    """dropout(x) for x [n, width] that all windows share. On a CPU nothing is dropped without `masks`."""
    if p == 0.0 or masks is None:
        return add_dropped(None, x, None, p)
    result: Tensor = untyped(_AddDropped).apply(None, x, masks.kept_of_all(x.shape[0], x.shape[1], p), scale(p))
    return result
