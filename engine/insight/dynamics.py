"""Training dynamics: what the snapshots of a run say of each example. NumPy only.

The snapshots that count are those after whole epochs. The untrained one says nothing of the labels, and the early ones
of the first epoch lie so close together that they would outweigh the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.insight.evidence import Evidence, evidence, mean_over_snapshots

Bools = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

NEEDED = (
    "gold_log_prob",
    "far_margin",
    "near_margin",
    "null_margin",
    "expected_iou",
    "exact_match",
    "iou",
    "pred_char_start",
    "pred_char_end",
)
"""Columns of `engine.rundir.snapshot.COLUMNS` that dynamics are made of."""


def learned(before: Bools, after: Bools, both: Bools | None = None) -> Bools:
    """bool[N]: right after and not before; right means exact match (Toneva et al. 2019, arXiv 1812.05159). `both`
    bool[N]: the examples that are scored at both snapshots (None: all)."""
    return after & ~before if both is None else after & ~before & both


def forgotten(before: Bools, after: Bools, both: Bools | None = None) -> Bools:
    """bool[N]: right before and not after, a forgetting event of Toneva et al. 2019; `both` as for `learned`."""
    return before & ~after if both is None else before & ~after & both


def counts(epoch: float) -> bool:
    """Whether a snapshot taken at `epoch` is part of the dynamics: after the first whole epoch, or a later one."""
    return epoch >= 1 and epoch == int(epoch)


@dataclass(frozen=True)
class Dynamics:
    """Statistics `[N]` of N examples over the S snapshots that count.

    `snapshots` are the numbers of these snapshots in the run and `labels` their names. `right` bool[S, N]: exact match.
    `answer_start`, `answer_end` int32[N]: the prediction at the last one, characters of the passage, -1 for "no
    answer"; `answer_iou` float32[N]: its overlap with the first gold answer. `evidence`: what speaks against the
    labels. `passages` int32[N] numbers the passages, None where they are not known. NaN: no window holds the gold
    answer whole, or there is no rival of the kind.

    `log_prob` float32: mean of `gold_log_prob`, the log of the gold spans' probability P among all spans.
    `confidence` float32: mean of P. `variability` float32: its population standard deviation. `correctness` float32:
    share of snapshots with an exact match, 0 to 1 (all three: Swayamdipta et al. 2020, arXiv 2009.10795).
    `forgetting` int32: how often an exact match was lost at the next snapshot. `first_learned` int32: the number of
    the first snapshot with an exact match, -1 for never (both: Toneva et al. 2019, arXiv 1812.05159).
    `far`, `near`, `null` float32: areas under the margin, the means of `far_margin`, `near_margin` and `null_margin`
    (Pleiss et al. 2020, arXiv 2001.10528). `overlap` float32: mean of `expected_iou`, how much of the gold answer the
    model's answers are expected to share, 0 to 1.

    `held_out`: the same of the same examples by models that were not trained on them (`--folds`), None where there are
    none.
    """

    snapshots: tuple[int, ...]
    labels: tuple[str, ...]
    right: Bools
    answer_start: IntArray
    answer_end: IntArray
    answer_iou: FloatArray
    evidence: Evidence
    log_prob: FloatArray
    confidence: FloatArray
    variability: FloatArray
    correctness: FloatArray
    forgetting: IntArray
    first_learned: IntArray
    far: FloatArray
    near: FloatArray
    null: FloatArray
    overlap: FloatArray
    passages: IntArray | None = None
    held_out: Dynamics | None = None

    def __len__(self) -> int:
        return len(self.log_prob)


def dynamics(
    columns: Mapping[str, NDArray[Any]],
    snapshots: Sequence[int],
    labels: Sequence[str],
    passages: IntArray | None = None,
) -> Dynamics:
    """`columns` holds the columns NEEDED of the S snapshots that count, stacked `[S, N]`, S >= 1."""
    probability = np.exp(columns["gold_log_prob"].astype(np.float64))
    confidence = mean_over_snapshots(probability)
    right = columns["exact_match"] >= 1
    first = np.where(right.any(axis=0), np.asarray(snapshots)[right.argmax(axis=0)], -1)
    return Dynamics(
        snapshots=tuple(snapshots),
        labels=tuple(labels),
        right=right,
        # Copies: a part of them would keep the columns of all snapshots.
        answer_start=columns["pred_char_start"][-1].copy(),
        answer_end=columns["pred_char_end"][-1].copy(),
        answer_iou=columns["iou"][-1].copy(),
        evidence=evidence(columns),
        log_prob=mean_over_snapshots(columns["gold_log_prob"]),
        confidence=confidence,
        variability=np.sqrt(mean_over_snapshots((probability - confidence) ** 2)),
        correctness=right.mean(axis=0).astype(np.float32),
        forgetting=forgotten(right[:-1], right[1:]).sum(axis=0).astype(np.int32),
        first_learned=first.astype(np.int32),
        far=mean_over_snapshots(columns["far_margin"]),
        near=mean_over_snapshots(columns["near_margin"]),
        null=mean_over_snapshots(columns["null_margin"]),
        overlap=mean_over_snapshots(columns["expected_iou"]),
        passages=passages,
    )


Arrays = TypeVar("Arrays", Dynamics, Evidence)


def joined(parts: Sequence[Arrays]) -> Arrays:
    """The same for the examples of all parts, one after the other; what is not `[N]` or `[S, N]` is that of the first.

    Nothing of an example depends on another one, so what needs much memory is computed for some of them at a time.
    """
    first: Any = parts[0]
    whole: dict[str, Any] = {}
    for name in (field.name for field in fields(first)):
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], np.ndarray):
            whole[name] = np.concatenate(values, axis=-1)
        elif is_dataclass(values[0]):
            whole[name] = joined(values)
    found: Arrays = replace(first, **whole)
    return found


def number_passages(contexts: Sequence[str]) -> IntArray:
    """int32[N]: a number for each passage, the same for equal ones."""
    numbers: dict[str, int] = {}
    found = np.empty(len(contexts), np.int32)
    last, number = None, 0
    for place, context in enumerate(contexts):
        if context is not last:  # questions on one passage mostly follow each other
            last, number = context, numbers.setdefault(context, len(numbers))
        found[place] = number
    return found
