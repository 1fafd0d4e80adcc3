"""The bars of a token chart, drawn by plotext on a canvas as wide as the columns shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui.drawing.canvas import AXIS, TICK, Stroke, draw
from tui.drawing.frame import ASCII, UNICODE, ChartCell, Glyphs
from tui.drawing.token_geometry import Geometry, Numbers

GUTTER = 8
"""Cells left of the canvas: a label of six, a blank, the axis."""


@dataclass(frozen=True)
class TokenGlyphs:
    """How the cells look: `parts` are 1 to 8 eighths of a cell; shapes alone separate everything."""

    parts: str
    hanging: str
    marker: str
    gained: str
    lost: str
    cursor: str


TOKEN_GLYPHS = {
    UNICODE: TokenGlyphs(parts="▁▂▃▄▅▆▇█", hanging="▀", marker="┃", gained="▓", lost="░", cursor="↑"),
    ASCII: TokenGlyphs(parts="..::oo##", hanging="'", marker="|", gained="+", lost="-", cursor="~"),
}


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


@dataclass(frozen=True)
class _Rows:
    """The `count` rows of a canvas, counted from below, `scale` of them for a score of 1. Zero is the lower edge of
    row `zero`, so that no cell belongs to bars of both signs: the rows are moved by less than one for it."""

    count: int
    scale: float
    zero: int

    @property
    def unit(self) -> float:
        """The height of a row."""
        return 1 / self.scale

    @property
    def of_zero(self) -> int:
        """The row that a line at zero stands in."""
        return min(self.zero, self.count - 1)

    @property
    def limits(self) -> tuple[float, float]:
        """The lower edge of the lowest row, and the upper of the highest."""
        return -self.zero * self.unit, (self.count - self.zero) * self.unit

    def middle(self, row: int) -> float:
        """The value in the middle of a row."""
        return (row - self.zero + 0.5) * self.unit

    def eighths(self, values: Numbers) -> NDArray[np.int64]:
        """How far bars reach from zero, in eighths of a row; hanging ones, for want of glyphs, in halves. What is
        no number has no bar."""
        finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
        ends = np.clip(self.zero + finite * self.scale, 0, self.count) - self.zero
        return np.where(ends >= 0, np.rint(ends * 8), np.rint(ends * 2) * 4).astype(np.int64)


def _rows(chart: TokenChart, count: int) -> _Rows:
    scale = count / max(chart.high - chart.low, 1e-9)
    return _Rows(count, scale, int(min(max(np.floor(-chart.low * scale), 0), count)))


@dataclass(frozen=True)
class _Bars:
    """Bars from zero to `values`, with the glyphs of a full cell, of 1 to 8 eighths of one, and of a hanging half."""

    values: Numbers
    role: str
    full: str
    parts: str
    hanging: str


def _layers(chart: TokenChart, geometry: Geometry, rows: _Rows, own: TokenGlyphs) -> list[_Bars]:
    """The bars to draw, each layer over those before it: one, or with the change since a snapshot before four: what
    was lost, what was gained, and as far as bars of both snapshots reach, now's or those of before."""
    full = own.parts[-1]
    now = geometry.highest(chart.values)
    if chart.before is None:
        return [_Bars(now, chart.role, full, own.parts, own.hanging)]
    before = geometry.highest(chart.before)
    reach, reached = rows.eighths(now), rows.eighths(before)
    shared = np.sign(reach) == np.sign(reached)
    cells, cells_before = -(-abs(reach) // 8), -(-abs(reached) // 8)
    longer, shorter = cells > cells_before, cells < cells_before
    gained = own.parts.replace(full, own.gained)
    return [
        _Bars(np.where(shared & ~shorter, 0, before), "lost", own.lost, own.lost * 8, own.lost),
        _Bars(np.where(shared & ~longer, 0, now), "gained", own.gained, gained, own.hanging),
        _Bars(np.where(shared & ~longer, now, 0), chart.role, full, own.parts, own.hanging),
        _Bars(np.where(shared & longer, before, 0), chart.role, full, full * 8, full),
    ]


def bar_cells(chart: TokenChart, geometry: Geometry, count: int, glyphs: Glyphs) -> list[list[ChartCell]]:
    """`count` rows of a gutter of GUTTER cells and of the canvas, top row first."""
    # plotext draws the axis with its labels, the line at zero, the columns of the marker, and the bars: it gets
    # limits, columns and scores, and scales, fills and clips. Drawn over it: the last cell of each bar, because
    # its bars end with whole cells and ours in eighths. What column a token has is ours too (`Geometry`), since
    # plotext's bars of a width of their own are a column off here and there, and the line of marks under the axis,
    # for which it has no place.
    rows = _rows(chart, count)
    layers = _layers(chart, geometry, rows, TOKEN_GLYPHS[glyphs])
    strokes, roles = _strokes(chart, geometry, rows, layers, glyphs)
    width, height = max(2, geometry.columns), max(2, count)
    ticks = {rows.middle(row): f"{label:>{GUTTER - 2}} " for row, label in _labels(chart, rows).items()}
    y_limits = rows.middle(0), rows.middle(height - 1)
    drawn = draw(strokes, GUTTER + width, height, (0, width - 1), y_limits, y_ticks=ticks)
    axis = {AXIS: glyphs.axis, TICK: glyphs.tick}
    cells = [
        [(axis.get(cell.char, cell.char), "axis") for cell in line[:GUTTER]]
        + [(cell.char, roles[cell.stroke] if cell.stroke >= 0 else "") for cell in line[GUTTER:][: geometry.columns]]
        for line in drawn[-count:]
    ]
    for bars in layers:
        _draw_ends(cells, bars, rows, geometry.each)
    return cells


def _strokes(
    chart: TokenChart, geometry: Geometry, rows: _Rows, layers: Sequence[_Bars], glyphs: Glyphs
) -> tuple[list[Stroke], list[str]]:
    """What plotext draws, the lowest first; and the role of each stroke."""
    strokes, roles = [], []
    if chart.low < 0:
        zero = rows.middle(rows.of_zero)
        strokes.append(Stroke([0, geometry.columns - 1], [zero, zero], glyphs.floor, joined=True))
        roles.append("axis")
    for column in geometry.columns_of(chart.expected):
        whole = [rows.middle(0), rows.middle(rows.count - 1)]
        strokes.append(Stroke([column, column], whole, TOKEN_GLYPHS[glyphs].marker, joined=True))
        roles.append(chart.expected_role)
    for bars in layers:
        long = np.flatnonzero(abs(rows.eighths(bars.values)) > 8)
        ends = np.clip(bars.values[long].astype(np.float64), *rows.limits)
        # Half a cell less reaches the last cell or the one before it, whichever way plotext rounds; the last is ours.
        ends -= np.copysign(rows.unit / 2, ends)
        x = (long[:, None] * geometry.each + np.arange(geometry.each)).ravel()
        strokes.append(Stroke(x.tolist(), np.repeat(ends, geometry.each).tolist(), bars.full, filled=True))
        roles.append(bars.role)
    return strokes, roles


def _draw_ends(cells: list[list[ChartCell]], bars: _Bars, rows: _Rows, each: int) -> None:
    """The last cell of every bar."""
    for bar, eighths in enumerate(rows.eighths(bars.values).tolist()):
        if eighths > 0:
            row, char = rows.zero + (eighths - 1) // 8, bars.parts[(eighths - 1) % 8]
        elif eighths < 0:
            row, char = rows.zero + eighths // 8, bars.hanging if eighths % 8 else bars.full
        else:
            continue
        at = GUTTER + bar * each
        cells[-1 - row][at : at + each] = [(char, bars.role)] * each


def _labels(chart: TokenChart, rows: _Rows) -> dict[int, str]:
    """Labels of the scale by row: its ends, zero, and one between where there is room."""
    labels = {rows.count - 1: _number(chart.high), 0: _number(chart.low)}
    if chart.low < 0 < chart.high:
        labels[rows.of_zero] = "0"
    elif rows.count >= 7:
        middle = rows.count // 2
        labels[middle] = _number(chart.low + (chart.high - chart.low) * (middle + 0.5) / rows.count)
    return labels


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 and value != round(value) else f"{value:.0f}"
