"""The windows that one forward pass computes, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Batch:
    """B windows of T tokens in all, one after the other, without padding.

    `input_ids`, `type_ids`, `position` int64[T] (position counts from the window's first token), `row` int64[T]
    the window of each token; `lengths` tokens of each window, `bounds` int32[B+1] where they begin
    and end; `target` int64[2, B] start and end to learn,
    counted from the window's first token; `places` are the windows' positions in the batch of all processes.
    `longest` is the greatest of the lengths; `counted` is B, or 0 where this process has no share of the batch and a
    window stands in, to be ignored.
    """

    input_ids: torch.Tensor
    type_ids: torch.Tensor
    position: torch.Tensor
    row: torch.Tensor
    bounds: torch.Tensor
    target: torch.Tensor
    lengths: list[int]
    places: list[int]
    counted: int
    longest: int = field(init=False)

    def __post_init__(self) -> None:
        # A number, since compiled code that reads the list is recompiled for every other list.
        object.__setattr__(self, "longest", max(self.lengths))

    @property
    def device(self) -> torch.device:
        return self.input_ids.device
