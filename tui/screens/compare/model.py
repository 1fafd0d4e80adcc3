"""Two snapshots of the same examples, of one run or of two: what changed, example by example."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.events import FIRST_OF_UNANSWERABLE, Metrics, metric_table
from engine.insight.dynamics import forgotten, learned

Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

Change = Literal["changed", "learned", "forgotten", "both wrong", "all"]
CHANGES: tuple[Change, ...] = get_args(Change)


@dataclass(frozen=True)
class Side:
    """One snapshot as the comparison needs it: a name, its metrics, and a value for each example."""

    name: str
    metrics: Metrics
    right: Bools
    f1: Floats
    confidence: Floats
    char_start: Ints
    char_end: Ints

    def take(self, rows: Ints) -> Side:
        """The same snapshot over some of its examples; the metrics stay those of all."""
        return Side(
            self.name,
            self.metrics,
            self.right[rows],
            self.f1[rows],
            self.confidence[rows],
            self.char_start[rows],
            self.char_end[rows],
        )


@dataclass(frozen=True)
class Comparison:
    """`left` and `right` over the same examples, in the same order."""

    left: Side
    right: Side

    @property
    def changed(self) -> Bools:
        """Examples that are answered with other characters of the passage."""
        moved: Bools = (self.left.char_start != self.right.char_start) | (self.left.char_end != self.right.char_end)
        return moved

    @property
    def learned(self) -> Bools:
        return learned(self.left.right, self.right.right)

    @property
    def forgotten(self) -> Bools:
        return forgotten(self.left.right, self.right.right)

    @property
    def gain(self) -> Floats:
        """F1 on the right less F1 on the left, -1 to 1."""
        difference: Floats = self.right.f1 - self.left.f1
        return difference

    def rows(self, show: Change) -> Ints:
        """Numbers of the examples of one kind: the greatest change of F1 first, then that of confidence."""
        mask = {
            "changed": self.changed,
            "learned": self.learned,
            "forgotten": self.forgotten,
            "both wrong": ~self.left.right & ~self.right.right,
            "all": np.ones(len(self.left.right), dtype=np.bool_),
        }[show]
        found = np.flatnonzero(mask)
        surer = np.abs(self.right.confidence - self.left.confidence)
        return found[np.lexsort((-surer[found], -np.abs(self.gain[found])))].astype(np.int32)

    def counts(self) -> dict[Change, int]:
        """How many examples there are of each kind."""
        return {
            "changed": int(self.changed.sum()),
            "learned": int(self.learned.sum()),
            "forgotten": int(self.forgotten.sum()),
            "both wrong": int((~self.left.right & ~self.right.right).sum()),
            "all": len(self.left.right),
        }


@dataclass(frozen=True)
class MetricRow:
    """One metric of both sides; `better` is -1 (left), 0 (the same) or 1 (right)."""

    name: str
    left: float | None
    right: float | None
    better: int

    @property
    def difference(self) -> float | None:
        return None if self.left is None or self.right is None else self.right - self.left


def metric_rows(left: Metrics, right: Metrics) -> list[MetricRow]:
    """The metrics that a side has."""
    rows = []
    for field, metric in metric_table(type(left)).items():
        a, b = getattr(left, field), getattr(right, field)
        if a is None and b is None:
            continue
        undecided = a is None or b is None or a == b or metric.lower_is_better is None
        better = 0 if undecided else (-1 if (b > a) == metric.lower_is_better else 1)
        rows.append(MetricRow(metric.label, a, b, better))
    return rows


def most_important(rows: Sequence[MetricRow], room: int) -> list[MetricRow]:
    """At most `room` of the rows, in their order; the loss and what questions with an answer score stay longest."""
    table = metric_table()
    first = [table[name].label for name in (*FIRST_OF_UNANSWERABLE, "start_accuracy", "end_accuracy", "loss")]
    ranked = sorted(rows, key=lambda row: first.index(row.name) if row.name in first else len(first))
    kept = ranked[: max(0, room)]
    return [row for row in rows if row in kept]


def shared_examples(left: Sequence[Hashable], right: Sequence[Hashable]) -> tuple[Ints, Ints]:
    """Numbers on either side of the examples whose marks both have, in the left side's order."""
    if list(left) == list(right):
        every = np.arange(len(left), dtype=np.int32)
        return every, every
    places = {mark: number for number, mark in enumerate(right)}
    pairs = [(number, places[mark]) for number, mark in enumerate(left) if mark in places]
    both = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    return both[:, 0], both[:, 1]
