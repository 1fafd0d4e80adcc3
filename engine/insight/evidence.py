"""What the lists of suspects rest on: what the snapshots of a run together say against the label of each example.
NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Columns = Mapping[str, NDArray[Any]]
Kind = Literal["place", "boundary"]


@dataclass(frozen=True)
class Rivals:
    """For each of N examples another answer than the label that the model gave: at the last of the S snapshots whose
    prediction is a rival of the kind, or else any other than the label. All are `[N]`.

    `last` int32: that snapshot's place among the S (-1: none). `since` int32: the first of the stretch up to it with
    the same prediction. `start`, `end` int32: the prediction, characters of the passage, -1 for "no answer".
    `probability` float32: the prediction's there, NaN where there is none.
    """

    last: IntArray
    since: IntArray
    start: IntArray
    end: IntArray
    probability: FloatArray


@dataclass(frozen=True)
class Evidence:
    """Values `[N]` of N examples over the S snapshots that count; NaN where nothing is known.

    `margin` float32: mean of the far margin, or of the one to "no answer" where that is smaller. Means in which later
    snapshots weigh more: `near` float32, of the near margin; `touching` float32, of the log probability of the spans
    that touch the label, as far as the gold answer and its best near rival have it. `place` and `boundary`: the model's
    answers instead of the label.
    """

    margin: FloatArray
    near: FloatArray
    touching: FloatArray
    place: Rivals
    boundary: Rivals

    def rivals(self, kind: Kind) -> Rivals:
        return self.place if kind == "place" else self.boundary


def evidence(columns: Columns) -> Evidence:
    """`columns` holds the margins, `gold_log_prob` and the predictions of the S snapshots that count, `[S, N]` each."""
    near = columns["near_margin"]
    later = np.arange(1, len(near) + 1)
    # The gold answer and its best near rival together: nearly all that the model puts on spans that touch the label.
    with np.errstate(invalid="ignore"):
        touching = np.minimum(columns["gold_log_prob"] + np.logaddexp(0, -near), 0.0)
    far, near_or_none, null = (
        np.where(np.isnan(columns[name]), np.inf, columns[name])
        for name in ("far_margin", "near_margin", "null_margin")
    )
    elsewhere = np.minimum(far, null)
    return Evidence(
        margin=mean_over_snapshots(np.fmin(columns["far_margin"], columns["null_margin"])),
        near=mean_over_snapshots(near, later),
        touching=mean_over_snapshots(touching, later),
        place=_rivals("place", columns, elsewhere, near_or_none),
        boundary=_rivals("boundary", columns, elsewhere, near_or_none),
    )


def mean_over_snapshots(values: Floats, weights: NDArray[Any] | None = None) -> FloatArray:
    """float32[N]: the mean of each column of [S, N], by `weights` [S] where they are given; snapshots with NaN are left
    out, and it is NaN where all are."""
    if np.isfinite(values).all():  # as nearly always: the same, in a third of the time
        parts = values if weights is None else values * weights.astype(np.float64)[:, None]
        whole: FloatArray = parts.sum(axis=0, dtype=np.float64) / (len(values) if weights is None else weights.sum())
        return whole.astype(np.float32)
    share = ~np.isnan(values) * (np.ones(len(values)) if weights is None else weights)[:, None]
    with np.errstate(invalid="ignore"):
        means: FloatArray = (np.nan_to_num(values, nan=0.0) * share).sum(axis=0, dtype=np.float64) / share.sum(axis=0)
    return means.astype(np.float32)


def _rivals(kind: Kind, columns: Columns, elsewhere: Floats, near: Floats) -> Rivals:
    """`elsewhere` and `near` `[S, N]` are the margins over answers that do not touch the label, and that do; inf where
    there is none."""
    other = np.minimum(elsewhere, near) < 0
    of_kind = other & ((elsewhere <= near) if kind == "place" else (near < elsewhere))
    rival = np.where(of_kind.any(axis=0), of_kind, other)
    count = len(rival)
    last = np.where(rival.any(axis=0), count - 1 - rival[::-1].argmax(axis=0), -1)
    examples = np.arange(rival.shape[1])
    starts, ends = columns["pred_char_start"], columns["pred_char_end"]
    start, end = starts[last, examples], ends[last, examples]
    same = (starts == start) & (ends == end)
    since = last.copy()
    for at in range(count - 2, -1, -1):
        since = np.where(same[at] & (since == at + 1), at, since)
    # The prediction beats the gold answer by the least of the margins; with several golds, which share their
    # probability, this is a little too much.
    lead = -np.minimum(elsewhere, near)[last, examples]
    probability = np.exp(np.minimum(columns["gold_log_prob"][last, examples].astype(np.float64) + lead, 0.0))
    return Rivals(
        last=last.astype(np.int32),
        since=since.astype(np.int32),
        start=start.astype(np.int32),
        end=end.astype(np.int32),
        probability=np.where(last >= 0, probability, np.nan).astype(np.float32),
    )
