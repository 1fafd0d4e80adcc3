"""Which columns of a chart belong to which token: the same whole number of columns for each, or an overview. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float32]
WIDEST_BAR = 4


@dataclass(frozen=True)
class Geometry:
    """Which columns of a canvas are whose. All visible tokens own the same whole number of columns, `each`;
    in an `overview` a column stands for one token or several."""

    tokens: int
    columns: int
    first: int
    each: int
    overview: bool = False

    @property
    def last(self) -> int:
        """One past the last visible token."""
        return self.tokens if self.overview else min(self.tokens, self.first + self.columns // self.each)

    @property
    def all_fit(self) -> bool:
        """Whether every token has a bar of its own in view."""
        return not self.overview and self.last - self.first == self.tokens

    def columns_of(self, token: int) -> range:
        """The columns of a token's bar; none where it is out of view."""
        if not self.first <= token < self.last:
            return range(0)
        if self.overview:
            column = token * self.columns // self.tokens
            return range(column, column + 1)
        start = (token - self.first) * self.each
        return range(start, start + self.each)

    def tokens_of(self, column: int) -> range:
        """The tokens that stand in a column; none beyond the last bar."""
        if not 0 <= column < self.columns or not self.tokens:
            return range(0)
        if self.overview:
            return range(-(-column * self.tokens // self.columns), -(-(column + 1) * self.tokens // self.columns))
        token = self.first + column // self.each
        return range(token, token + 1) if token < self.last else range(0)

    def highest(self, values: Numbers) -> Numbers:
        """float32[tokens in view or columns]: of an overview's column the largest of its tokens."""
        if not self.overview:
            return values[self.first : self.last]
        starts = [self.tokens_of(column).start for column in range(self.columns)]
        return np.asarray(np.maximum.reduceat(values, starts), np.float32)


def fit(
    tokens: int, columns: int, *, in_view: tuple[int, ...] = (), first: int | None = None, overview: bool = False
) -> Geometry:
    """How `tokens` bars lie on `columns`.

    Where they don't fit, the chart shows a stretch: from `first` on, moved so far that `in_view` (most
    important first) are seen as far as they fit; or, with `overview`, all of them.
    """
    columns = max(1, columns)
    if tokens <= columns:
        return Geometry(tokens, columns, 0, max(1, min(WIDEST_BAR, columns // max(1, tokens))))
    if overview:
        return Geometry(tokens, columns, 0, 1, overview=True)
    start = first if first is not None else 0
    wanted = [token for token in in_view if 0 <= token < tokens]
    while wanted and max(wanted) - min(wanted) >= columns:
        wanted.pop()
    if wanted and not (start <= min(wanted) and max(wanted) < start + columns):
        start = (min(wanted) + max(wanted) - columns + 1) // 2
    return Geometry(tokens, columns, min(max(0, start), tokens - columns), 1)
