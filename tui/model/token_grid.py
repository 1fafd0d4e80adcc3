"""Where answers stand in their passages, counted in tokens, and the cells of the span charts: numbers, no drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from engine.data.segments import CONTEXT
from engine.errors import DataError

Ints = NDArray[np.int32]
NOTHING = -1
"""Token position of the answer "there is none"."""


class Cell(IntEnum):
    """What a cell of a span chart holds. APART: both spans touch the row but share no token of it."""

    EMPTY = 0
    TRUE = 1
    PREDICTED = 2
    BOTH = 3
    APART = 4


@dataclass(frozen=True)
class Spans:
    """Answers as first and last token (inclusive, from the passage's first token), int32[N]; -1 for no answer."""

    start: Ints
    end: Ints

    def take(self, rows: Ints) -> Spans:
        """The spans of some examples."""
        return Spans(self.start[rows], self.end[rows])

    @property
    def size(self) -> Ints:
        """Tokens in each span; 0 for no answer."""
        return np.where(self.start < 0, 0, self.end - self.start + 1).astype(np.int32)


class TokenGrid:
    """The tokens of every passage, so that windows that overlap agree on where an answer stands.

    Token boundaries are kept once for each passage, however many questions are asked of it.
    """

    def __init__(
        self,
        contexts: Sequence[str],
        feature_example: Ints,
        token_offset: NDArray[np.int64],
        char_start: Ints,
        segment: NDArray[np.int8],
    ) -> None:
        """`contexts` has one passage for each example, the arrays are those of features.safetensors."""
        # A token's key is its place in all passages written one after the other.
        places: dict[str, int] = {}
        total = 0
        self._begin = np.zeros(len(contexts), dtype=np.int32)
        for number, text in enumerate(contexts):
            if text not in places:
                places[text] = total
                total += len(text) + 1
            self._begin[number] = places[text]
        if total >= 1 << 31:
            raise DataError(f"the passages have {total} characters together, too many to draw.")
        first_asked = np.zeros(len(contexts), dtype=np.bool_)
        first_asked[np.unique(self._begin, return_index=True)[1]] = True
        sizes = np.diff(token_offset)
        chosen = np.repeat(first_asked[feature_example], sizes)
        chosen &= segment == CONTEXT
        keys: Ints = np.repeat(self._begin[feature_example], sizes)[chosen]
        keys += char_start[chosen]
        if (np.diff(keys) <= 0).any():  # windows overlap, or passages come back
            keys.sort(kind="stable")
            keys = keys[np.diff(keys, prepend=-1) > 0]
        self._keys = keys
        self._first = np.searchsorted(keys, self._begin).astype(np.int32)
        sizes_of_texts = np.fromiter((len(text) for text in contexts), dtype=np.int32, count=len(contexts))
        self.length: Ints = np.searchsorted(keys, self._begin + sizes_of_texts).astype(np.int32) - self._first
        """Tokens of each example's passage, int32[N]."""

    def spans(self, char_start: Ints, char_end: Ints) -> Spans:
        """Answers given in code points of their passages (end exclusive, -1 for no answer) as token spans."""
        none = char_start < 0
        last_char = np.maximum(char_end - 1, char_start)
        return Spans(
            np.where(none, np.int32(NOTHING), self._token_at(char_start)),
            np.where(none, np.int32(NOTHING), self._token_at(last_char)),
        )

    def _token_at(self, char: Ints) -> Ints:
        """Index in its passage of the token at, or else before, each character."""
        found = np.searchsorted(self._keys, self._begin + np.maximum(char, 0), side="right") - 1
        place: Ints = np.maximum(found - self._first, 0).astype(np.int32)
        return place


def tokens_per_row(longest: int, height: int) -> int:
    """Whole number of tokens that a row must stand for, so that `longest` tokens fit into `height` rows."""
    return max(1, -(-longest // max(1, height)))


def span_cells(truth: Spans, predicted: Spans, *, height: int, per_row: int, none_row: bool) -> NDArray[np.uint8]:
    """Cells uint8[rows, n] of n examples, top row first: row r from the bottom stands for tokens
    `r * per_row` to `(r + 1) * per_row - 1`. With `none_row` one more row at the bottom stands for "no answer";
    there two answers that say so share it.
    """
    lo = np.arange(height - 1, -1, -1, dtype=np.int32)[:, None] * per_row
    hi = lo + per_row - 1
    true_here = (truth.start <= hi) & (truth.end >= lo) & (truth.start >= 0)
    pred_here = (predicted.start <= hi) & (predicted.end >= lo) & (predicted.start >= 0)
    shared_lo = np.maximum(np.maximum(truth.start, predicted.start), lo)
    shared_hi = np.minimum(np.minimum(truth.end, predicted.end), hi)
    cells = true_here * np.uint8(Cell.TRUE) + pred_here * np.uint8(Cell.PREDICTED)
    cells = np.where(true_here & pred_here & (shared_lo > shared_hi), np.uint8(Cell.APART), cells).astype(np.uint8)
    if not none_row:
        return cells
    none = (truth.start < 0) * np.uint8(Cell.TRUE) + (predicted.start < 0) * np.uint8(Cell.PREDICTED)
    return np.vstack([cells, none[None, :].astype(np.uint8)])


def only(cells: NDArray[np.uint8], side: Cell) -> NDArray[np.uint8]:
    """The cells of one side alone: TRUE or PREDICTED."""
    return np.where((cells == side) | (cells >= Cell.BOTH), np.uint8(side), np.uint8(Cell.EMPTY))


@dataclass(frozen=True)
class Page:
    """The examples that a chart shows at once: places `first` to `last - 1` of the order."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first


def page_of(place: int, total: int, columns: int, columns_per_example: int) -> Page:
    """The page of `total` examples that holds number `place`. Pages are fixed, so that a chart moves only when the
    cursor leaves it, and its scale with it."""
    size = max(1, columns // columns_per_example)
    first = max(0, min(place, total - 1)) // size * size
    return Page(first, min(total, first + size))
