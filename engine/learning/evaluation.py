"""Scores every eval window. Draws no random number and changes nothing: looking leaves training as it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.features import Features
from engine.learning.async_copy import PendingTensor
from engine.learning.batches import EVAL_TOKENS, EVAL_TOKENS_GPU, evaluation_batches, make_batch
from engine.learning.distributed import Group
from engine.learning.encoder.load import Model

FloatArray = NDArray[np.float32]


def score_windows(
    model: Model,
    features: Features,
    *,
    group: Group | None = None,
    max_windows: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    together: Callable[[], None] = lambda: None,
) -> tuple[FloatArray, FloatArray]:
    """Start and end scores float32[T] of all tokens, flat as `features`; the same in every process of `group`.

    Windows are taken longest first, so that those computed together are alike, at most `max_windows` at a time;
    `progress(done, total)` counts this process's windows and may raise to break off; `together()` is called by all
    processes before their scores are exchanged, and may raise too.
    """
    group = group or Group()
    start = np.zeros(int(features.token_offset[-1]), dtype=np.float32)
    end = np.zeros_like(start)
    total, done = len(range(group.rank, len(features), group.world)), 0
    model.network.eval()
    try:
        with torch.inference_mode():
            for windows, lengths, later in _scored(model, features, group, max_windows):
                scores = later.read().numpy()
                low = 0
                for window, length in zip(windows.tolist(), lengths, strict=True):
                    place = int(features.token_offset[window])
                    start[place : place + length] = scores[low : low + length, 0]
                    end[place : place + length] = scores[low : low + length, 1]
                    low += length
                done += len(windows)
                if progress is not None:
                    progress(done, total)
    finally:
        model.network.train()
    together()
    group.gather((start, end))
    return start, end


def _scored(
    model: Model, features: Features, group: Group, max_windows: int | None
) -> Iterator[tuple[NDArray[np.int64], list[int], PendingTensor]]:
    """Windows, their lengths and scores, batch by batch. A GPU computes a batch while the one before is read."""
    on_cpu = model.device.type == "cpu"
    limit, ahead = (EVAL_TOKENS, 0) if on_cpu else (EVAL_TOKENS_GPU, 1)
    waiting: deque[tuple[NDArray[np.int64], list[int], PendingTensor]] = deque()
    for windows in evaluation_batches(
        features, max_tokens=limit, max_windows=max_windows, rank=group.rank, world=group.world
    ):
        batch = make_batch(features, windows, device=model.device)
        waiting.append((windows, batch.lengths, PendingTensor(model.network(batch, None, model.dtype))))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting
