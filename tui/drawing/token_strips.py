"""The token chart as lines of text: one token, one bar; a marker on exactly its token's columns. Pure."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip

from tui.drawing.frame import UNICODE, Glyphs, runs
from tui.drawing.theme import StyleOf
from tui.drawing.token_bars import GUTTER, TOKEN_GLYPHS, TokenChart, bar_cells
from tui.drawing.token_geometry import Geometry


def token_strips(
    chart: TokenChart, geometry: Geometry, height: int, style: StyleOf, glyphs: Glyphs = UNICODE
) -> list[Strip]:
    """The chart as `height` lines: a title, the canvas, and a line of marks under the axis."""
    lines = [_title(chart, geometry, style, glyphs)]
    lines += [Strip(runs(cells, style)) for cells in bar_cells(chart, geometry, max(1, height - 2), glyphs)]
    lines.append(_marks(chart, geometry, style, glyphs))
    return [line.adjust_cell_length(GUTTER + geometry.columns) for line in lines[:height]]


def _title(chart: TokenChart, geometry: Geometry, style: StyleOf, glyphs: Glyphs) -> Strip:
    """What the chart shows and what its signs mean; what does not fit is left out whole."""
    own = TOKEN_GLYPHS[glyphs]
    change = [(own.gained, "gained", "rose"), (own.lost, "lost", "fell")] if chart.before is not None else []
    legend = [
        (own.parts[-1], chart.role, chart.measure),
        (own.marker + glyphs.expected, chart.expected_role, "expected"),
        (glyphs.predicted, "predicted", "predicted"),
        *change,
        (glyphs.both, chart.expected_role, "both"),
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


def _marks(chart: TokenChart, geometry: Geometry, style: StyleOf, glyphs: Glyphs) -> Strip:
    """The line under the axis: where the expected, the predicted and the chosen token stand."""
    cells = [(glyphs.floor, "axis")] * geometry.columns
    for token, char, role in (
        (chart.cursor, TOKEN_GLYPHS[glyphs].cursor, "cursor"),
        (chart.predicted, glyphs.predicted, "predicted"),
        (chart.expected, glyphs.both if chart.expected == chart.predicted else glyphs.expected, chart.expected_role),
    ):
        for column in geometry.columns_of(token):
            cells[column] = (char, role)
    for column in geometry.columns_of(chart.cursor):
        cells[column] = (cells[column][0], "cursor")
    left = glyphs.before if geometry.first > 0 else " "
    corner = [Segment(f"{left:>{GUTTER - 1}}{glyphs.corner}", style("axis"))]
    line = Strip([*corner, *runs(cells, style)])
    if geometry.last < geometry.tokens and not geometry.overview:
        line = Strip([*line.crop(0, GUTTER + geometry.columns - 1), Segment(glyphs.after, style("axis"))])
    return line
