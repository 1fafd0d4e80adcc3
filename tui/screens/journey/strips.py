"""The token chart: numbers to lines of text. One token, one bar; a marker on exactly its token's columns. Pure.

plotext draws on a canvas as wide as the columns shown, at whole coordinates: there its mapping of values to
columns is exact at every width, which it is not for its own bars.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.drawing.canvas import Stroke, draw

GUTTER = 8
"""Cells left of the canvas: a label of six, a blank, the axis."""
WIDEST_BAR = 4

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Glyphs:
    """How the cells look: `parts` from the emptiest to the full cell; shapes alone tell everything apart."""

    parts: str
    hanging: str
    marker: str
    gained: str
    lost: str
    axis: str
    tick: str
    floor: str
    corner: str
    expected: str
    predicted: str
    agreed: str
    cursor: str
    more: tuple[str, str]


UNICODE = Glyphs("▁▂▃▄▅▆▇█", "▀", "┃", "▓", "░", "│", "┤", "─", "└", "▲", "▼", "◆", "↑", ("‹", "›"))
ASCII = Glyphs("..::oo##", "'", "|", "+", "-", "|", "+", "-", "+", "^", "v", "*", "~", ("<", ">"))


@dataclass(frozen=True)
class Geometry:
    """Which columns of a canvas are whose. All visible tokens own the same whole number of columns, `each`;
    in an overview (`tokens_per_column` > 0) it is the other way round."""

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


@dataclass(frozen=True, eq=False)
class TokenChart:
    """One chart of one window: `values` float32[n] of its tokens on a scale from `low` to `high` (0 is in it).

    `before` are the values of the snapshot before, to show the change; `expected`, `predicted`, `cursor` are
    tokens, -1 for none. `role` and `expected_role` name the styles of bars and marker.
    """

    title: str
    values: Numbers
    low: float
    high: float
    role: str
    expected_role: str
    expected: int = -1
    predicted: int = -1
    cursor: int = -1
    before: Numbers | None = None
    measure: str = "score"


def token_strips(
    chart: TokenChart, geometry: Geometry, height: int, style: Callable[[str], Style], glyphs: Glyphs = UNICODE
) -> list[Strip]:
    """The chart as `height` lines: a title, the canvas, and a line of marks under the axis."""
    rows = max(1, height - 2)
    cells = _canvas(chart, geometry, rows, glyphs)
    lines = [_title(chart, geometry, style, glyphs)]
    labels = _labels(chart, rows)
    zero = _row_of(0.0, chart, rows)
    for row in range(rows - 1, -1, -1):
        label = labels.get(row, "")
        axis = glyphs.tick if label else glyphs.axis
        segments = [Segment(f"{label:>6} {axis}", style("axis"))]
        segments += _runs(cells[row], style, base=glyphs.floor if row == zero and chart.low < 0 else " ")
        lines.append(Strip(segments))
    lines.append(_marks(chart, geometry, style, glyphs))
    return [line.adjust_cell_length(GUTTER + geometry.columns) for line in lines[:height]]


def _row_of(value: float, chart: TokenChart, rows: int) -> int:
    """The row of the canvas, counted from below, in which `value` falls."""
    share = (value - chart.low) / max(chart.high - chart.low, 1e-9)
    return int(min(rows - 1, max(0, np.floor(share * rows))))


def _canvas(chart: TokenChart, geometry: Geometry, rows: int, glyphs: Glyphs) -> list[list[tuple[str, str]]]:
    """`rows` of (character, role), lowest first."""
    now = geometry.highest(chart.values)
    before = geometry.highest(chart.before) if chart.before is not None else None
    points: dict[tuple[str, str], tuple[list[int], list[int]]] = {}

    def put(char: str, role: str, columns: range, row: int) -> None:
        x, y = points.setdefault((char, role), ([], []))
        x += columns
        y += [row] * len(columns)

    taken: set[tuple[int, int]] = set()
    for bar, value in enumerate(now.tolist()):
        columns = range(bar, bar + 1) if geometry.overview else range(bar * geometry.each, (bar + 1) * geometry.each)
        drawn = _bar(value, chart, rows, glyphs)
        if before is not None:
            drawn = _with_change(drawn, _bar(float(before[bar]), chart, rows, glyphs), chart.role, glyphs)
        else:
            drawn = {row: (char, chart.role) for row, (char, _) in drawn.items()}
        for row, (char, role) in drawn.items():
            put(char, role, columns, row)
            taken.update((column, row) for column in columns)
    marker = geometry.columns_of(chart.expected)
    for row in range(rows):
        free = [column for column in marker if (column, row) not in taken]
        for column in free:
            put(glyphs.marker, chart.expected_role, range(column, column + 1), row)
    keys = list(points)
    strokes = [Stroke(points[key][0], points[key][1], key[0], joined=False) for key in keys]
    limits = (0.0, max(1.0, geometry.columns - 1)), (0.0, max(1.0, rows - 1))
    width, height = max(2, geometry.columns), max(2, rows)
    canvas = draw(strokes, width, height, *limits)
    return [
        [(cell.char, keys[cell.stroke][1] if cell.stroke >= 0 else "") for cell in line[: geometry.columns]]
        for line in reversed(canvas[-rows:])
    ]


def _bar(value: float, chart: TokenChart, rows: int, glyphs: Glyphs) -> dict[int, tuple[str, str]]:
    """The cells of one bar by row: full ones, and a part of one at its end; negative bars hang from zero."""
    if not np.isfinite(value):
        return {}
    scale = rows / max(chart.high - chart.low, 1e-9)
    zero = min(max((0.0 - chart.low) * scale, 0.0), float(rows))
    if chart.low < 0:
        zero = float(np.floor(zero))
    end = min(max(zero + value * scale, 0.0), float(rows))
    cells: dict[int, tuple[str, str]] = {}
    if end >= zero:
        eighths = round((end - zero) * 8)
        for row in range(int(zero), min(rows, int(zero) + -(-eighths // 8))):
            left = eighths - 8 * (row - int(zero))
            cells[row] = (glyphs.parts[min(8, left) - 1], "")
    else:
        halves = round((zero - end) * 2)
        for number in range(-(-halves // 2)):
            row = int(zero) - 1 - number
            if row >= 0:
                cells[row] = (glyphs.parts[-1] if halves - 2 * number >= 2 else glyphs.hanging, "")
    return cells


def _with_change(
    now: dict[int, tuple[str, str]], before: dict[int, tuple[str, str]], role: str, glyphs: Glyphs
) -> dict[int, tuple[str, str]]:
    drawn: dict[int, tuple[str, str]] = {}
    for row in now.keys() | before.keys():
        if row in now and row in before:
            drawn[row] = (now[row][0], role)
        elif row in now:
            drawn[row] = (glyphs.gained if now[row][0] == glyphs.parts[-1] else now[row][0], "gained")
        else:
            drawn[row] = (glyphs.lost, "lost")
    return drawn


def _runs(cells: list[tuple[str, str]], style: Callable[[str], Style], base: str) -> list[Segment]:
    segments: list[Segment] = []
    text, role = "", ""
    for char, cell_role in cells:
        if not cell_role:
            char, cell_role = base, "axis" if base != " " else ""
        if cell_role != role and text:
            segments.append(Segment(text, style(role) if role else None))
            text = ""
        text, role = text + char, cell_role
    if text:
        segments.append(Segment(text, style(role) if role else None))
    return segments


def _labels(chart: TokenChart, rows: int) -> dict[int, str]:
    """Labels of the scale by row: its ends, zero, and one between where there is room."""
    labels = {rows - 1: _number(chart.high), 0: _number(chart.low)}
    if chart.low < 0 < chart.high:
        labels[_row_of(0.0, chart, rows)] = "0"
    elif rows >= 7:
        middle = rows // 2
        labels[middle] = _number(chart.low + (chart.high - chart.low) * (middle + 0.5) / rows)
    return labels


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 and value != round(value) else f"{value:.0f}"


def _title(chart: TokenChart, geometry: Geometry, style: Callable[[str], Style], glyphs: Glyphs) -> Strip:
    """What the chart shows and what its signs mean; what does not fit is left out whole."""
    change = [(glyphs.gained, "gained", "rose"), (glyphs.lost, "lost", "fell")] if chart.before is not None else []
    legend = [
        (glyphs.parts[-1], chart.role, chart.measure),
        (glyphs.marker + glyphs.expected, chart.expected_role, "expected"),
        (glyphs.predicted, "predicted", "predicted"),
        *change,
        (glyphs.agreed, chart.expected_role, "both"),
    ]
    stretch = ""
    if geometry.overview:
        stretch = f"all {geometry.tokens} tokens, the highest of each column"
    elif not geometry.all_fit:
        stretch = f"tokens {geometry.first}-{geometry.last - 1} of {geometry.tokens}"
    title, spare = chart.title, geometry.columns - sum(len(sign) + len(word) + 3 for sign, _, word in legend[:-1])
    if len(title) + len(stretch) + 2 > spare:
        stretch = f"all {geometry.tokens}" if geometry.overview else stretch.removeprefix("tokens ")
    if len(title) + len(stretch) + 2 > spare:
        title = title.split()[0]
    room = geometry.columns - len(title) - (len(stretch) + 2 if stretch else 0)
    segments = [Segment(" " * GUTTER), Segment(title, style("heading"))]
    for sign, role, word in legend:
        room -= len(sign) + len(word) + 3
        if room < 0:
            break
        segments += [Segment(f"  {sign}", style(role)), Segment(f" {word}", style("text"))]
    if stretch:
        segments.append(Segment(f"  {stretch}", style("dim")))
    return Strip(segments)


def _marks(chart: TokenChart, geometry: Geometry, style: Callable[[str], Style], glyphs: Glyphs) -> Strip:
    """The line under the axis: where the expected, the predicted and the chosen token stand."""
    cells = [(glyphs.floor, "axis")] * geometry.columns
    for token, char, role in (
        (chart.cursor, glyphs.cursor, "cursor"),
        (chart.predicted, glyphs.predicted, "predicted"),
        (chart.expected, glyphs.agreed if chart.expected == chart.predicted else glyphs.expected, chart.expected_role),
    ):
        for column in geometry.columns_of(token):
            cells[column] = (char, role)
    for column in geometry.columns_of(chart.cursor):
        cells[column] = (cells[column][0], "cursor")
    left = glyphs.more[0] if geometry.first > 0 else " "
    corner = [Segment(f"{left:>{GUTTER - 1}}{glyphs.corner}", style("axis"))]
    line = Strip([*corner, *_runs(cells, style, " ")])
    if geometry.last < geometry.tokens and not geometry.overview:
        line = Strip([*line.crop(0, GUTTER + geometry.columns - 1), Segment(glyphs.more[1], style("axis"))])
    return line
