"""What stands on the two sides of Compare, which examples are listed, and where the cursor is. Knows no screen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.errors import UsageError, UserError
from engine.events import Metrics
from engine.insight.scoring import mean_metrics
from engine.rundir.eval_set import EvalSet
from engine.storage.tensors import Tensors
from tui.model.predictions import SpanColumns, SpanData
from tui.model.viewer import Viewer
from tui.screens.compare.model import CHANGES, Bools, Change, Comparison, Ints, Side, shared_examples

LEFT, RIGHT = 0, 1
COUNTED = re.compile(r"question-\d+|.*#\d+", re.DOTALL)
"""Ids that were given on reading, by counting: they are others once a question before them was dropped."""
NONE: Ints = np.zeros(0, np.int32)


@dataclass
class Seat:
    """What stands on one side: a run (None: the one that is watched) and a position on its timeline."""

    viewer: Viewer | None = None
    snapshot: int = 0


class Pair:
    """Two snapshots of the run that is watched, or of it and others. `load` brings all else up to date."""

    def __init__(self) -> None:
        self.active = RIGHT
        self.show: Change = "changed"
        self.comparison: Comparison | None = None
        self.rows: Ints = NONE
        """Numbers of the examples that are listed, among those that both sides have."""
        self.cursor = 0
        self.trouble = ""
        """Why the two sides can't be compared, where a file can't be read."""
        self.watched: Viewer | None = None
        """The run that the other screens show, as given to `load`."""
        self._seats = [Seat(), Seat()]
        self._known = 0
        self._data: dict[Viewer, tuple[EvalSet, SpanData]] = {}
        self._columns: list[SpanColumns] = []
        self._shared: tuple[Ints, Ints] = (NONE, NONE)
        self._common = 0
        self._relabelled: Bools = np.zeros(0, np.bool_)
        self._pointed: dict[Viewer, int] = {}
        """The example under the cursor, as each run counts it: it stays there as long as it is listed."""
        self._made_of: tuple[object, ...] = ()

    # ------------------------------------------------------------------ sides

    def viewer(self, side: int) -> Viewer | None:
        """The run on a side."""
        return self._seats[side].viewer or self.watched

    def is_watched(self, side: int) -> bool:
        """Whether the run on a side is the one that is watched."""
        return self._seats[side].viewer is None

    def snapshot(self, side: int) -> int:
        """Position of a side's snapshot on the timeline of its run."""
        return self._seats[side].snapshot

    def name(self, side: int) -> str:
        """What stands on a side. Text from outside: show() it."""
        viewer = self.viewer(side)
        if viewer is None or not viewer.snapshots:
            return "nothing"
        label = viewer.snapshots[self.snapshot(side)].label
        return label if self.is_watched(side) else f"{viewer.run.name}: {label}"

    def flip(self, step: int) -> None:
        """Move the active side along the timeline of its run."""
        seat, viewer = self._seats[self.active], self.viewer(self.active)
        if seat.viewer is not None:
            seat.viewer.refresh()  # the app follows only the run that is watched
        if viewer is not None and viewer.snapshots:
            seat.snapshot = max(0, min(seat.snapshot + step, len(viewer.snapshots) - 1))

    def swap(self) -> None:
        """Left goes right and right goes left."""
        self._seats.reverse()

    def next_filter(self) -> None:
        self.show = CHANGES[(CHANGES.index(self.show) + 1) % len(CHANGES)]

    def seat_watched(self, snapshot: int) -> None:
        """Put a snapshot of the run that is watched on the active side."""
        self._seat(Seat(snapshot=snapshot))

    def seat_run(self, path: Path) -> None:
        """Put the newest snapshot of another run on the active side. Raises UsageError where it can't be compared."""
        viewer = Viewer(path)
        viewer.refresh()
        viewer.find_snapshots()
        why = ""
        if not viewer.snapshots or viewer.eval_set is None:
            why = f"{path.name} has no snapshot yet"
        elif self.watched is None or not len(_shared(self.watched, viewer)[0]):
            why = f"{path.name} has other data: no example in common"
        if why:
            viewer.close()
            raise UsageError(why)
        self._seat(Seat(viewer, len(viewer.snapshots) - 1))

    def _seat(self, seat: Seat) -> None:
        gone, self._seats[self.active] = self._seats[self.active].viewer, seat
        if gone is not None:
            self._data.pop(gone, None)
            self._pointed.pop(gone, None)
            gone.close()

    # ------------------------------------------------------------------ data

    def load(self, watched: Viewer | None) -> None:
        """Compare what stands on the sides now. `watched` is the run that the other screens show."""
        if watched is not self.watched:
            self._begin(watched)
        left, right = self.viewer(LEFT), self.viewer(RIGHT)
        sides = [viewer for viewer in (left, right) if viewer and viewer.snapshots and viewer.eval_set]
        if len(sides) < 2 or watched is None:
            self._clear("")
            return
        if self._known < 2 <= len(watched.snapshots) and self.is_watched(LEFT) and self.is_watched(RIGHT):
            # There was nothing to compare before.
            self._seats = [Seat(), Seat(snapshot=len(watched.snapshots) - 1)]
        self._known = len(watched.snapshots)
        for viewer, seat in zip(sides, self._seats, strict=True):
            seat.snapshot = max(0, min(seat.snapshot, len(viewer.snapshots) - 1))
        key = (*((v, v.snapshots[seat.snapshot].time) for v, seat in zip(sides, self._seats, strict=True)), self.show)
        if key == self._made_of:
            return
        try:
            self._compare(sides)
            self._made_of, self.trouble = key, ""
        except (OSError, UserError) as error:
            self._clear(f"these snapshots can't be read: {error}")

    def _begin(self, watched: Viewer | None) -> None:
        for seat in self._seats:
            if seat.viewer is not None:
                seat.viewer.close()
        self.watched, self._known, self.cursor = watched, 0, 0
        self._seats = [Seat(), Seat()]
        self._data.clear()
        self._pointed.clear()
        self._clear("")

    def _clear(self, trouble: str) -> None:
        self.comparison, self.rows, self._made_of, self.trouble = None, NONE, (), trouble

    def _compare(self, sides: list[Viewer]) -> None:
        shared = _shared(*sides)
        columns = [self._source(viewer).at(self.snapshot(side)) for side, viewer in enumerate(sides)]
        self._common = len(shared[LEFT])
        scored = columns[LEFT].scored[shared[LEFT]] & columns[RIGHT].scored[shared[RIGHT]]
        shared = shared[LEFT][scored], shared[RIGHT][scored]
        found = [self._side(side, columns[side]).take(shared[side]) for side in (LEFT, RIGHT)]
        if not scored.all():  # samples are not compared with the whole
            found = [replace(one, metrics=_means(columns[side], shared[side])) for side, one in enumerate(found)]
        self.comparison = Comparison(*found)
        self._columns, self._shared = columns, shared
        self._relabelled = _relabelled(sides[LEFT], sides[RIGHT], shared)
        self.rows = self.comparison.rows(self.show)
        self.point(self._place_of_pointed(sides))

    def _place_of_pointed(self, sides: list[Viewer]) -> int:
        """The row of the example that was under the cursor; the first where it is not listed."""
        for side, viewer in enumerate(sides):
            if viewer in self._pointed:
                places = np.flatnonzero(self._shared[side][self.rows] == self._pointed[viewer])
                return int(places[0]) if len(places) else 0
        return 0

    def _side(self, side: int, columns: SpanColumns) -> Side:
        viewer = self.viewer(side)
        assert viewer is not None
        event = viewer.snapshots[self.snapshot(side)]
        return Side(
            name=event.label,
            metrics=event.metrics,
            right=columns.right,
            f1=columns.f1,
            confidence=columns.confidence,
            char_start=columns.char_start,
            char_end=columns.char_end,
        )

    def _source(self, viewer: Viewer) -> SpanData:
        examples = viewer.eval_set
        assert examples is not None
        kept = self._data.get(viewer)
        if kept is None or kept[0] is not examples:
            features = Tensors(viewer.run.features_file)
            kept = self._data[viewer] = examples, SpanData(examples, features, viewer.snapshot)
        return kept[1]

    # ------------------------------------------------------------------ rows

    def point(self, row: int) -> None:
        """Put the cursor on a row, or the nearest there is."""
        self.cursor = max(0, min(row, len(self.rows) - 1))
        for side in (LEFT, RIGHT):
            viewer = self.viewer(side)
            if viewer is not None and len(self.rows):
                self._pointed[viewer] = self.example(self.cursor, side)

    def example(self, row: int, side: int) -> int:
        """The example in a row, as the run on a side counts it."""
        return int(self._shared[side][self.rows[row]])

    def data(self, side: int) -> SpanData:
        """The examples of the run on a side."""
        viewer = self.viewer(side)
        assert viewer is not None
        return self._source(viewer)

    def columns(self, side: int) -> SpanColumns:
        """What the snapshot on a side says of the examples."""
        return self._columns[side]

    @property
    def other_labels(self) -> int:
        """How many of the shared examples have another label in the other run: each run is judged by its own."""
        return int(self._relabelled.sum())

    def has_other_label(self, row: int) -> bool:
        """Whether the two runs have different labels for the example in a row."""
        return bool(self._relabelled[self.rows[row]])

    def left_out(self) -> int:
        """How many examples only one of the two runs has."""
        if self.comparison is None or self.viewer(LEFT) is self.viewer(RIGHT):
            return 0
        return sum(self.data(side).count - self._common for side in (LEFT, RIGHT))

    @property
    def not_scored(self) -> int:
        """How many examples that both runs have are not scored on both sides."""
        return self._common - len(self._shared[LEFT]) if self.comparison is not None else 0


def _means(columns: SpanColumns, rows: Ints) -> Metrics:
    """The metrics over some of the examples, as far as they are means of columns."""
    names = ("start_correct", "end_correct", "exact_match", "f1")
    return mean_metrics({name: getattr(columns, name)[rows] for name in names})


def _shared(left: Viewer, right: Viewer) -> tuple[Ints, Ints]:
    """Numbers on either side of the examples that both runs have: of one id, question and passage; or of one question
    and passage where their ids were COUNTED."""
    if left is right:
        every = np.arange(len(left.examples), dtype=np.int32)
        return every, every
    named = [[(e.id, e.question, e.context) for e in viewer.examples] for viewer in (left, right)]
    both = set(named[LEFT]) & set(named[RIGHT])
    marks: list[list[Hashable]] = []
    for side in named:
        asked: Counter[tuple[str, str]] = Counter()
        marks.append([])
        for mark in side:
            if mark in both or not COUNTED.fullmatch(mark[0]):
                marks[-1].append(mark)
            else:
                asked[mark[1:]] += 1
                marks[-1].append((mark[1:], asked[mark[1:]]))
    return shared_examples(marks[LEFT], marks[RIGHT])


def _relabelled(left: Viewer, right: Viewer, shared: tuple[Ints, Ints]) -> Bools:
    """bool[M]: the runs have different golds for an example that they share."""
    if left is right:
        return np.zeros(len(shared[LEFT]), np.bool_)
    pairs = zip(shared[LEFT].tolist(), shared[RIGHT].tolist(), strict=True)
    differ = (left.examples[one].answers != right.examples[other].answers for one, other in pairs)
    return np.fromiter(differ, np.bool_, count=len(shared[LEFT]))
