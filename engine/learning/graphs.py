"""Steps on a GPU as CUDA graphs: one launch for a whole step, from the forward pass to the update.

Launched one by one from Python, the 900 kernels of a step take the processor longer than they take the GPU. A graph
is recorded once for each size of batch and then replayed, so batches are filled up to few sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.learning.encoder.attention import takes_any_lengths
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import untyped
from engine.learning.encoder.load import Model
from engine.learning.encoder.packed import PackedEncoder

MOST_GRAPHS = 32
LEAST_STEP, STEPS = 256, 64
"""A batch is filled up to a multiple of 256 tokens, of more where it has more than 64 times as many."""
NO_TARGET = -100
"""What `torch.nn.functional.cross_entropy` ignores."""


def can_record(model: Model) -> bool:
    """Whether a step of the model runs the same kernels for any batch of one size: on a GPU, without padding, and
    with nothing computed twice."""
    network = model.network
    return (
        isinstance(network, PackedEncoder)
        and not network.has_bias
        and not network.checkpointing
        and takes_any_lengths(model.device, model.dtype)
    )


def filled_size(tokens: int) -> int:
    """How many tokens a batch of `tokens` is filled up to."""
    step = _step(tokens)
    return -(-tokens // step) * step


def _step(tokens: int) -> int:
    step = LEAST_STEP
    while step * STEPS < tokens:
        step *= 2
    return step


def filled(batch: Batch, tokens: int, windows: int) -> Batch:
    """`batch` with `windows` windows, those that it lacks without a token, and after them one of filling up to
    `tokens` tokens; neither has a target."""
    held, missing = len(batch.input_ids), windows - len(batch.lengths)
    filling = tokens - held
    bounds = F.pad(batch.bounds, (0, missing), value=held)
    return replace(
        batch,
        input_ids=F.pad(batch.input_ids, (0, filling)),
        type_ids=F.pad(batch.type_ids, (0, filling)),
        position=F.pad(batch.position, (0, filling)),
        row=F.pad(batch.row, (0, filling), value=windows),
        bounds=F.pad(bounds, (0, 1), value=tokens),
        target=F.pad(batch.target, (0, missing + 1), value=NO_TARGET),
        lengths=[*batch.lengths, *[0] * missing, filling],
        places=[*batch.places, *[0] * (missing + 1)],
    )


@dataclass
class _Recorded:
    replay: Callable[[], None]
    held: Tensor
    values: Tensor


class StepGraphs:
    """One model's steps of at most `windows` windows of at most `longest` tokens."""

    def __init__(self, model: Model, windows: int, longest: int, step: Callable[[Batch], Tensor], idle: Tensor) -> None:
        """`step(batch)` learns from a batch on the device and returns what is known of it, float32[n]. `idle`
        float32[] on the device is 1 while a step is only rehearsed: then it must change nothing that lasts."""
        self._model, self._windows, self._longest = model, windows, longest
        self._step, self._idle = step, idle
        self._recorded: dict[int, _Recorded] = {}
        self._most = MOST_GRAPHS
        self._pool: Any = None

    def takes(self, batch: Batch) -> bool:
        """Whether there is a graph of the batch's size, or room for one more."""
        size = filled_size(len(batch.input_ids))
        return len(batch.lengths) <= self._windows and (size in self._recorded or len(self._recorded) < self._most)

    def learn(self, batch: Batch) -> Tensor | None:
        """Do a step on `batch`, which is on the processor; returns its values, which the next step overwrites.

        None, with nothing changed, where the step can't be recorded; no other will be.
        """
        size = filled_size(len(batch.input_ids))
        host = _packed(filled(batch, size, self._windows))
        if size not in self._recorded:
            try:
                self._recorded[size] = self._record(size, host)
            except RuntimeError as error:  # out of memory above all
                print(f"From here on steps are launched kernel by kernel: {error}", file=sys.stderr)
                self._give_up()
                return None
        recorded = self._recorded[size]
        recorded.held.copy_(host, non_blocking=True)
        recorded.replay()
        return recorded.values

    def _record(self, size: int, host: Tensor) -> _Recorded:
        held = host.to(self._model.device)

        def compute() -> Tensor:
            return self._step(_unpacked(held, size, self._windows, max(self._longest, _step(size))))

        replay, values = self._capture(compute)
        return _Recorded(replay, held, values)

    def _give_up(self) -> None:
        """Free everything."""
        self._recorded.clear()
        self._most, self._pool = 0, None
        for parameter in self._model.network.parameters():
            parameter.grad = None
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()

    def _rehearse(self, compute: Callable[[], Tensor]) -> None:
        """Compute once without effect: kernels are chosen and compiled, and what lasts gets its memory."""
        self._idle.fill_(1)
        try:
            compute()
        finally:
            self._idle.fill_(0)

    def _capture(self, compute: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """What computes again, and where its result then stands."""
        side = untyped(torch.cuda.Stream)()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._rehearse(compute)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            values = compute()
        self._pool = graph.pool()
        return graph.replay, values


def _packed(batch: Batch) -> Tensor:
    """All of the batch's tensors as one int64, pinned where there is a GPU, so that one copy takes them there."""
    tokens = (batch.input_ids, batch.type_ids, batch.position, batch.row)
    whole = torch.cat((*tokens, batch.target.flatten(), batch.bounds.long()))
    return whole.pin_memory() if torch.cuda.is_available() else whole


def _unpacked(held: Tensor, tokens: int, windows: int, longest: int) -> Batch:
    """The batch that `_packed` made, on the device; of its lengths only the greatest possible is known."""
    target = 2 * (windows + 1)
    ids, types, position, row, targets, bounds = untyped(held).split([tokens] * 4 + [target, windows + 2])
    return Batch(
        input_ids=ids, type_ids=types, position=position, row=row, bounds=bounds.int(), target=targets.view(2, -1),
        lengths=[longest] * (windows + 1), places=list(range(windows + 1)), counted=windows,
    )  # fmt: skip
