"""Span charts as lines of text: one column pair for each example, the passage's tokens upwards. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from textual.strip import Strip

from tui.drawing.canvas import Stroke, draw
from tui.drawing.frame import ASCII, UNICODE, ChartCell, Glyphs, floor, gutter, runs
from tui.drawing.theme import StyleOf
from tui.model.token_grid import Spans
from tui.screens.spans.grid import SpanCell, only, span_cells, tokens_per_row

GUTTER = 6
"""Cells left of the chart: four digits of a token's number, a blank, the axis."""

View = Literal["overlaid", "predicted", "true"]

CELL_SIGNS = {UNICODE: " ▀▄█▚", ASCII: " '.#%"}
"""A sign for each kind of cell; shapes alone tell them apart."""
ROLES = {
    SpanCell.EMPTY: "dim",
    SpanCell.TRUE: "true",
    SpanCell.PREDICTED: "predicted",
    SpanCell.BOTH: "both",
    SpanCell.APART: "apart",
}
TITLES: dict[View, str] = {"overlaid": "both overlaid", "predicted": "predicted", "true": "expected"}


@dataclass(frozen=True)
class SpanChart:
    """What one chart shows: the spans of a page of examples, in columns `each` cells wide.

    `longest` is the token count of the longest passage on the page, so that the scale stays while snapshots
    change; `cursor` the column under the cursor, -1 for none; `none_row` adds a row for "no answer".
    """

    truth: Spans
    predicted: Spans
    longest: int
    each: int = 2
    cursor: int = -1
    none_row: bool = False

    @property
    def count(self) -> int:
        return len(self.truth.start)

    def column(self, example: int) -> tuple[int, int]:
        """First cell and width of the column pair of example number `example` on the page."""
        return GUTTER + example * self.each, self.each


def chart_strips(
    chart: SpanChart,
    views: Sequence[View],
    width: int,
    height: int,
    style: StyleOf,
    glyphs: Glyphs = UNICODE,
) -> list[Strip]:
    """`height` lines of `width` cells: the charts named by `views` one below the other, on the same columns,
    each with a title line, and under the last the axis with the cursor."""
    share = (height - 1) // len(views)  # all panels alike, so that they share their scale
    strips = [strip for view in views for strip in _panel(chart, view, width, share, style, glyphs)]
    strips.append(_floor(chart, width, style, glyphs))
    return strips[:height] + [Strip.blank(width)] * (height - len(strips))


def _panel(chart: SpanChart, view: View, width: int, height: int, style: StyleOf, glyphs: Glyphs) -> list[Strip]:
    if height < 1:
        return []
    rows = height - 1 - chart.none_row
    strips = [_title(view, width, style, glyphs, per_row=tokens_per_row(chart.longest, rows) if rows > 0 else 0)]
    if rows < 1:
        return strips
    per_row = tokens_per_row(chart.longest, rows)
    cells = span_cells(chart.truth, chart.predicted, height=rows, per_row=per_row, none_row=chart.none_row)
    if view != "overlaid":
        cells = only(cells, SpanCell.TRUE if view == "true" else SpanCell.PREDICTED)
    canvas = _canvas(chart, cells, width - GUTTER, glyphs)
    for row, line in enumerate(canvas):
        if row == rows:
            label = "none"
        else:
            token = (rows - 1 - row) * per_row
            label = str(token) if row % 4 == (rows - 1) % 4 else ""
        strips.append(
            Strip([*gutter(f"{label} ", GUTTER, style, glyphs), *runs(line, style)]).adjust_cell_length(width)
        )
    return strips


def _canvas(chart: SpanChart, cells: NDArray[np.uint8], width: int, glyphs: Glyphs) -> list[list[ChartCell]]:
    """(character, role) of every cell right of the axis, top row first. plotext draws on whole coordinates, where
    it is exact: an example's cells stand on its own columns, the last of which is a gap."""
    if width < 1:
        return [[] for _ in cells]
    height = len(cells)
    fill = np.arange(max(1, chart.each - 1))
    strokes, roles = [], []
    for code in (SpanCell.TRUE, SpanCell.PREDICTED, SpanCell.BOTH, SpanCell.APART):
        row, example = np.nonzero(cells == code)
        x = (example[:, None] * chart.each + fill).ravel()
        y = np.repeat(height - 1 - row, len(fill))
        strokes.append(Stroke(x.tolist(), y.tolist(), CELL_SIGNS[glyphs][code]))
        roles.append(ROLES[code])
    if 0 <= chart.cursor < chart.count:
        free = np.flatnonzero(cells[:, chart.cursor] == SpanCell.EMPTY)
        strokes.append(
            Stroke([chart.cursor * chart.each] * len(free), (height - 1 - free).tolist(), glyphs.guide, joined=False)
        )
        roles.append("dim")
    drawn = draw(strokes, max(2, width), max(2, height), (0.0, max(1, width - 1)), (0.0, max(1, height - 1)))
    return [
        [(cell.char, roles[cell.stroke] if cell.stroke >= 0 else "") for cell in line[:width]]
        for line in drawn[-height:]
    ]


def _title(view: View, width: int, style: StyleOf, glyphs: Glyphs, *, per_row: int) -> Strip:
    legend = {
        "true": [(SpanCell.TRUE, "expected")],
        "predicted": [(SpanCell.PREDICTED, "predicted")],
        "overlaid": [
            (SpanCell.TRUE, "expected"),
            (SpanCell.PREDICTED, "predicted"),
            (SpanCell.BOTH, "both"),
            (SpanCell.APART, "both, apart"),
        ],
    }[view]
    segments = [Segment(" " * (GUTTER - 1))]
    for cell, word in legend:
        segments += [Segment(f" {CELL_SIGNS[glyphs][cell]}", style(ROLES[cell])), Segment(f" {word} ", style("text"))]
    if per_row > 1:
        segments.append(Segment(f"  one row: {per_row} tokens", style("dim")))
    elif per_row:
        segments.append(Segment("  one row: one token", style("dim")))
    return Strip(segments).adjust_cell_length(width)


def _floor(chart: SpanChart, width: int, style: StyleOf, glyphs: Glyphs) -> Strip:
    text = " " * (GUTTER - 1) + glyphs.corner + glyphs.floor * max(0, width - GUTTER)
    here = GUTTER + chart.cursor * chart.each if 0 <= chart.cursor < chart.count else -1
    return Strip(floor(text, here, style, glyphs)).adjust_cell_length(width)
