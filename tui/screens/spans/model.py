"""Which examples a list shows, in what order, and where its cursor stands; shared by chart and table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tui.model.predictions import Judged

Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

Sort = Literal["data order", "true start", "IoU", "confidence"]
Filter = Literal["all", "wrong", "right", "learned", "forgotten", "impossible", "scored"]
SORTS: tuple[Sort, ...] = get_args(Sort)
FILTERS: tuple[Filter, ...] = get_args(Filter)


@dataclass
class SpanOrder:
    """Rows of a list: `rows` int32[M] holds example numbers in display order, `example` the one under the cursor;
    `group` names the examples that are listed where they are not all.

    Order and filter are worked out by `apply` from one snapshot and then stay while the reader flips through
    others, so that a row (and a chart's column) goes on being the same example.
    """

    total: int
    sort: Sort = "data order"
    show: Filter = "all"
    text: str = ""
    group: str = ""
    example: int = 0
    taken_at: str = ""
    rows: Ints = field(init=False)
    _place: Ints = field(init=False)

    def __post_init__(self) -> None:
        self._set_rows(np.arange(self.total, dtype=np.int32))

    @property
    def depends_on_snapshot(self) -> bool:
        """Whether another snapshot could give other rows."""
        return self.sort in ("IoU", "confidence") or self.show not in ("all", "impossible")

    @property
    def place(self) -> int:
        """Where the cursor stands in `rows`; 0 where nothing is shown."""
        return max(0, self.place_of(self.example))

    def place_of(self, example: int) -> int:
        """The row of an example, -1 where the filter hides it."""
        return int(self._place[example]) if 0 <= example < self.total else -1

    def apply(self, judged: Judged, matches: Bools | None = None, taken_at: str = "") -> None:
        """Filter and sort the rows again. `matches`: which examples the text search found (None: no search).

        The cursor keeps its example where it is still shown, else it goes to the nearest row.
        """
        mask = {
            "all": np.ones(self.total, dtype=np.bool_),
            "wrong": judged.scored & ~judged.right,
            "right": judged.right,
            "learned": judged.learned,
            "forgotten": judged.forgotten,
            "impossible": judged.impossible,
            "scored": judged.scored,
        }[self.show]
        if matches is not None:
            mask = mask & matches
        rows = np.flatnonzero(mask)
        if self.sort != "data order":
            scores = {"IoU": judged.iou, "confidence": judged.confidence}
            key = judged.true_start() if self.sort == "true start" else scores[self.sort]
            rows = rows[np.argsort(key[rows], kind="stable")]
        place = self.place
        self.taken_at = taken_at
        self._set_rows(rows.astype(np.int32))
        if self.place_of(self.example) < 0 and len(self.rows):
            self.example = int(self.rows[min(place, len(self.rows) - 1)])

    def move_to(self, place: int) -> bool:
        """Put the cursor on a row, or the nearest one there is. Returns whether it moved."""
        if not len(self.rows):
            return False
        example = int(self.rows[max(0, min(place, len(self.rows) - 1))])
        moved = example != self.example
        self.example = example
        return moved

    def next_sort(self) -> Sort:
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        return self.sort

    def next_filter(self) -> Filter:
        self.show = FILTERS[(FILTERS.index(self.show) + 1) % len(FILTERS)]
        return self.show

    def describe(self) -> str:
        """The order and filter in words. Holds the reader's own search text: show() it."""
        parts = [f"{len(self.rows)} of {self.total}" if len(self.rows) != self.total else f"{self.total} examples"]
        if self.show != "all":
            parts.append(self.show)
        if self.group:
            parts.append(self.group)
        if self.text:
            parts.append(f"with “{self.text}”")
        parts.append("in data order" if self.sort == "data order" else f"by {self.sort}")
        if self.depends_on_snapshot and self.taken_at:
            parts.append(f"as at {self.taken_at}")
        return ", ".join(parts)

    def _set_rows(self, rows: Ints) -> None:
        self.rows = rows
        self._place = np.full(self.total, -1, dtype=np.int32)
        self._place[rows] = np.arange(len(rows), dtype=np.int32)
