"""The cells of the span charts, and the page of examples that a chart shows: numbers, no drawing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tui.model.token_grid import NOTHING, Spans


class SpanCell(IntEnum):
    """What a cell of a span chart holds. APART: both spans touch the row but share no token of it."""

    EMPTY = 0
    TRUE = 1
    PREDICTED = 2
    BOTH = 3
    APART = 4


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
    cells = true_here * np.uint8(SpanCell.TRUE) + pred_here * np.uint8(SpanCell.PREDICTED)
    cells = np.where(true_here & pred_here & (shared_lo > shared_hi), np.uint8(SpanCell.APART), cells).astype(np.uint8)
    if not none_row:
        return cells
    none = (truth.start < 0) * np.uint8(SpanCell.TRUE) + (predicted.start == NOTHING) * np.uint8(SpanCell.PREDICTED)
    return np.vstack([cells, none[None, :].astype(np.uint8)])


def only(cells: NDArray[np.uint8], side: SpanCell) -> NDArray[np.uint8]:
    """The cells of one side alone: TRUE or PREDICTED."""
    return np.where((cells == side) | (cells >= SpanCell.BOTH), np.uint8(side), np.uint8(SpanCell.EMPTY))


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
