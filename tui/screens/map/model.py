"""What Map shows: examples as cells of a data map, and which of them are listed in what order. Numbers, no drawing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.data.characters import UNSPACED
from engine.insight.dynamics import Dynamics
from engine.insight.evidence import Kind

Ints = NDArray[np.int32]
List = Literal["wrong place", "wrong boundary", "all examples"]
LISTS: tuple[List, ...] = get_args(List)
KINDS: dict[List, Kind] = {"wrong place": "place", "wrong boundary": "boundary"}
Sort = Literal["confidence", "variability", "right", "forgotten", "first learned", "data"]
SORTS: tuple[Sort, ...] = get_args(Sort)
WIDEST = 0.5
"""No standard deviation of probabilities is larger."""
NOBODY: Ints = np.zeros(0, np.int32)
CLASSES = ("never right", "up to half", "more", "always")


@dataclass(frozen=True)
class MapCells:
    """Where the examples lie on a canvas of `width` x `height` cells, row 0 at the bottom: `column` and `row` int32[N],
    -1 for an example whose label has no probability (no window holds it whole)."""

    width: int
    height: int
    column: Ints
    row: Ints

    @property
    def index(self) -> Ints:
        """int32[N]: one number for each cell, -1 off the map."""
        return np.where(self.column < 0, -1, self.row * self.width + self.column).astype(np.int32)

    def at(self, example: int) -> tuple[int, int]:
        return int(self.column[example]), int(self.row[example])

    def same(self, example: int) -> Ints:
        """The examples in the cell of an example, in data order."""
        index = self.index
        return np.flatnonzero((index == index[example]) & (index >= 0)).astype(np.int32)

    def step(self, example: int, right: int, up: int) -> int:
        """The example to go to from `example` one step `right` (1, -1) or `up` (1, -1): of the nearest cell that way,
        the first in data order; itself where there is none. Straight on counts for more than near."""
        if self.column[example] < 0:
            found = np.flatnonzero(self.column >= 0)
            return int(found[0]) if len(found) else example
        across, upward = self.column - self.column[example], self.row - self.row[example]
        ahead, aside = (across * right, upward) if right else (upward * up, across)
        distance = np.where((self.column >= 0) & (ahead > 0), ahead + 2 * np.abs(aside), np.iinfo(np.int32).max)
        nearest = int(distance.argmin())
        return nearest if distance[nearest] < np.iinfo(np.int32).max else example


def map_cells(dynamics: Dynamics, width: int, height: int) -> MapCells:
    """The examples on a canvas: variability from 0 to WIDEST to the right, confidence from 0 to 1 upwards."""
    known = np.isfinite(dynamics.confidence) & np.isfinite(dynamics.variability)
    share = np.where(known, np.clip(dynamics.variability / WIDEST, 0, 1), 0)
    level = np.where(known, np.clip(dynamics.confidence, 0, 1), 0)
    column = np.floor(share * (width - 1) + 0.5)
    row = np.floor(level * (height - 1) + 0.5)
    return MapCells(
        width, height, np.where(known, column, -1).astype(np.int32), np.where(known, row, -1).astype(np.int32)
    )


def classes(correctness: NDArray[np.float32]) -> NDArray[np.int8]:
    """int8[N]: number of each example's class in CLASSES."""
    return np.select([correctness <= 0, correctness <= 0.5, correctness < 1], [0, 1, 2], 3).astype(np.int8)


def majorities(cells: MapCells, kinds: NDArray[np.int8]) -> NDArray[np.int8]:
    """int8[height, width]: the class that most examples of a cell have, the less right one of equals; -1: empty."""
    index = cells.index
    size, known = cells.width * cells.height, index >= 0
    places = kinds[known].astype(np.int64) * size + index[known]
    counts = np.bincount(places, minlength=len(CLASSES) * size).reshape(len(CLASSES), size)
    most = np.where(counts.sum(axis=0) > 0, counts.argmax(axis=0), -1)
    return most.reshape(cells.height, cells.width).astype(np.int8)


def sorted_examples(dynamics: Dynamics, sort: Sort) -> Ints:
    """All examples, those that deserve a look first: least confident, most variable, least often right, most often
    forgotten, learned last or never."""
    keys: dict[Sort, NDArray[np.generic]] = {
        "confidence": dynamics.confidence,
        "variability": -dynamics.variability,
        "right": dynamics.correctness,
        "forgotten": -dynamics.forgetting,
        "first learned": np.where(dynamics.first_learned < 0, np.iinfo(np.int32).min, -dynamics.first_learned),
        "data": np.zeros(len(dynamics)),
    }
    return np.argsort(keys[sort], kind="stable").astype(np.int32)


@dataclass(frozen=True)
class WordChoice:
    """The right answer of an example as it is chosen word by word: `word` is under the cursor (-1: nothing is chosen),
    `first` the first word of the answer (-1: not chosen yet)."""

    word: int = -1
    first: int = -1

    def begun(self, context: str, char: int) -> WordChoice:
        """At the word that holds a code point of the passage, or follows it."""
        words = words_of(context)
        return WordChoice(next((number for number, (_, end) in enumerate(words) if end > char), len(words) - 1))

    def moved(self, context: str, by: int) -> WordChoice:
        return WordChoice(max(0, min(self.word + by, len(words_of(context)) - 1)), self.first)

    def span(self, context: str) -> tuple[int, int]:
        """The chosen stretch of the passage in code points."""
        words = words_of(context)
        ends = self.word, self.first if self.first >= 0 else self.word
        return words[min(ends)][0], words[max(ends)][1]


def words_of(text: str) -> list[tuple[int, int]]:
    """Where words and other signs stand in a text, in code points; a letter of a script without spaces is a word."""
    return [found.span() for found in re.finditer(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]", text)]


@dataclass
class MapRows:
    """What is listed: `rows` int32[M] are examples in display order, `place` the row under the cursor."""

    show: List = "wrong place"
    sort: Sort = "confidence"
    rows: Ints = field(default_factory=lambda: NOBODY)
    place: int = 0

    def next_list(self) -> None:
        self.show = LISTS[(LISTS.index(self.show) + 1) % len(LISTS)]

    def next_sort(self) -> None:
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]

    def take(self, rows: Ints, example: int) -> int:
        """Take new rows. Returns the example that the cursor is on then: `example` where it is listed, else the one
        that stands where the cursor was; -1 where nothing is listed."""
        self.rows = rows
        if not len(rows):
            return -1
        found = np.flatnonzero(rows == example)
        self.place = int(found[0]) if len(found) else min(self.place, len(rows) - 1)
        return int(rows[self.place])

    def point(self, example: int) -> bool:
        """Put the cursor on an example. Returns whether it is listed."""
        found = np.flatnonzero(self.rows == example)
        if len(found):
            self.place = int(found[0])
        return bool(len(found))
