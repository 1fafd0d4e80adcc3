"""Which windows each step learns from, and those windows as tensors. Order is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.features import Features
from engine.data.windows import training_windows
from engine.learning.encoder.batch import Batch

EVAL_TOKENS = 4096
"""Tokens of an evaluation batch on a CPU; bigger ones leave the cache and are slower."""
EVAL_TOKENS_GPU = 65_536


def steps_per_epoch(features: Features, seed: int, batch_size: int) -> int:
    """Optimiser steps of an epoch; the same in every epoch."""
    return -(-len(training_windows(features, seed, 1)) // batch_size)


def epoch_batches(features: Features, seed: int, epoch: int, batch_size: int) -> list[NDArray[np.int64]]:
    """Window numbers of each batch of `epoch` (counted from 1), in random order."""
    windows = training_windows(features, seed, epoch)
    order = np.random.default_rng([seed, epoch, 0x4F5244]).permutation(windows)
    return [order[low : low + batch_size] for low in range(0, len(order), batch_size)]


def make_batch(
    features: Features,
    windows: NDArray[np.int64],
    *,
    device: torch.device | None = None,
    rank: int = 0,
    world: int = 1,
    first_place: int = 0,
) -> Batch:
    """The windows `windows[rank::world]` as tensors on `device`; copies to a GPU don't wait. The windows stand in the
    batch of their step from `first_place` on."""
    chosen = windows[rank::world]
    counted = len(chosen)
    if not counted:
        chosen = windows[:1]
    low = features.token_offset[chosen]
    lengths = features.token_offset[chosen + 1] - low
    total, starts = int(lengths.sum()), np.cumsum(lengths) - lengths
    packed = np.empty((4, total), dtype=np.int64)
    row, position = packed[3], packed[2]
    row[:] = np.repeat(np.arange(len(chosen)), lengths)
    position[:] = np.arange(total) - starts[row]
    source = position + low[row]
    packed[0] = features.input_ids[source]
    packed[1] = features.type_ids[source]
    held = features.gold_start[chosen] >= 0
    null = features.null_token[chosen]
    target = np.stack(
        [
            np.where(held, features.gold_start[chosen], null),
            np.where(held, features.gold_end[chosen], null),
        ]
    ).astype(np.int64)
    bounds = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    tokens, targets = _to(packed, device), _to(target, device)
    return Batch(
        input_ids=tokens[0],
        type_ids=tokens[1],
        position=tokens[2],
        row=tokens[3],
        bounds=_to(bounds, device),
        target=targets,
        lengths=lengths.tolist(),
        places=[first_place + place for place in range(rank, len(windows), world)] or [first_place],
        counted=counted,
    )


def evaluation_batches(
    features: Features, *, max_tokens: int, max_windows: int | None = None, rank: int = 0, world: int = 1
) -> Iterator[NDArray[np.int64]]:
    """Every window of this rank's share once, longest first, in groups of at most `max_windows` windows and
    `max_tokens` tokens (or one window)."""
    lengths = np.diff(features.token_offset)
    order = np.argsort(-lengths, kind="stable")[rank::world]
    low = 0
    while low < len(order):
        count = max(1, max_tokens // int(lengths[order[low]]))
        count = min(count, max_windows or count)
        yield order[low : low + count]
        low += count


def _to(array: NDArray[np.int64] | NDArray[np.int32], device: torch.device | None) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    if device is None or device.type == "cpu":
        return tensor
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
