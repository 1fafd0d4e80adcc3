"""Probabilities of tokens as a picture: tokens across, snapshots or layers down, a shade for each probability. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEVELS = (0.01, 0.05, 0.2, 0.5)
"""A probability below the first is left blank; each further level is one shade darker."""
UNREADABLE, NOT_SCORED = -2, -3


@dataclass(frozen=True)
class HeatMap:
    """Probabilities float32[rows, tokens] of one side (start or end), with what was expected and predicted; a row is a
    snapshot or a layer.

    `predicted` has one token for each row, -1 where the answer lay in another window or nowhere, UNREADABLE
    where it can't be read, NOT_SCORED where there is none since the example is not scored.
    """

    probability: Floats
    expected: int
    predicted: NDArray[np.int32]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Rows whose predicted token is the expected one."""
        if self.expected < 0:
            return np.zeros(len(self.predicted), dtype=np.bool_)
        same: NDArray[np.bool_] = self.predicted == self.expected
        return same


@dataclass(frozen=True)
class Columns:
    """How `tokens` tokens share `width` columns: `each` columns a token, or `tokens_each` tokens a column."""

    tokens: int
    width: int
    each: int
    tokens_each: int

    @property
    def count(self) -> int:
        """Columns in use."""
        return self.tokens * self.each if self.tokens_each == 1 else -(-self.tokens // self.tokens_each)

    def of(self, token: int) -> range:
        """The columns of a token."""
        if self.tokens_each > 1:
            return range(token // self.tokens_each, token // self.tokens_each + 1)
        return range(token * self.each, (token + 1) * self.each)

    def at(self, column: int) -> range:
        """The tokens of a column."""
        if self.tokens_each == 1:
            return range(column // self.each, column // self.each + 1)
        return range(column * self.tokens_each, min(self.tokens, (column + 1) * self.tokens_each))


def share_columns(tokens: int, width: int) -> Columns:
    """The same whole number of columns for every token; where they do not fit, of tokens for every column."""
    width = max(1, width)
    if tokens <= width:
        return Columns(tokens, width, max(1, min(8, width // max(1, tokens))), 1)
    return Columns(tokens, width, 1, -(-tokens // width))


def spread(probability: Floats, columns: Columns) -> Floats:
    """Probabilities float32[rows, columns.count]: a column keeps the largest of its tokens."""
    if columns.tokens_each == 1:
        return np.repeat(probability, columns.each, axis=1)
    padded = np.zeros((len(probability), columns.count * columns.tokens_each), dtype=np.float32)
    padded[:, : columns.tokens] = probability
    largest: Floats = padded.reshape(len(probability), columns.count, columns.tokens_each).max(axis=2)
    return largest


def shade(probability: Floats) -> NDArray[np.uint8]:
    """Shade 0 (blank) to 4 (full) of every probability."""
    return np.searchsorted(np.array(LEVELS, dtype=np.float32), probability, side="right").astype(np.uint8)


def rows_around(current: int, total: int, height: int) -> range:
    """The rows that `height` lines show: all, or a page around `current`."""
    if total <= height:
        return range(total)
    first = max(0, min(current - height // 2, total - height))
    return range(first, first + height)
