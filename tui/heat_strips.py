"""The heat map of one example as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.heat_model import ASCII_SHADES, LEVELS, SHADES, Columns, HeatMap, rows_around, shade, spread
from tui.row_layout import fit_text

LABEL = 12
"""Cells left of the map: the cursor's mark, a snapshot's label, the axis."""
VERDICT = 2
"""Cells right of the map: whether the predicted token is the expected one."""


@dataclass(frozen=True)
class HeatGlyphs:
    shades: str
    axis: str
    here: str
    expected: str
    cursor: str
    right: str
    wrong: str
    guide: str


UNICODE = HeatGlyphs(SHADES, "│", "›", "▲", "┃", "✓", "✗", "┊")
ASCII = HeatGlyphs(ASCII_SHADES, "|", ">", "^", "|", "+", "-", "'")


def map_strips(
    title: str,
    heat: HeatMap,
    labels: Sequence[str],
    columns: Columns,
    *,
    current: int,
    token: int,
    width: int,
    height: int,
    style: Callable[[str], Style],
    glyphs: HeatGlyphs = UNICODE,
) -> list[Strip]:
    """`height` lines: a title, one row for each snapshot (a page around `current` where there are more), and a
    floor that marks the expected token. A row's mark at its end says whether the predicted token is the
    expected one; the column of `token` (-1: none) is the reader's own."""
    rows = rows_around(current, len(labels), max(0, height - 2))
    strips = [_title(title, width, style)]
    shades = shade(spread(heat.probability[rows.start : rows.stop], columns))
    right = heat.right
    expected = columns.of(heat.expected) if heat.expected >= 0 else range(0)
    chosen = columns.of(token) if token >= 0 else range(0)
    for place, row in enumerate(rows):
        here = row == current
        predicted = columns.of(int(heat.predicted[row])) if heat.predicted[row] >= 0 else range(0)
        label_style = style("cursor") if here else style("text")
        label = fit_text(labels[row], LABEL - 3, "right")
        segments = [
            Segment(f"{glyphs.here if here else ' '}{label} ", label_style),
            Segment(glyphs.axis, style("axis")),
            *_row(shades[place], expected, predicted, chosen, style, glyphs),
        ]
        if heat.expected >= 0:
            mark, role = (glyphs.right, "good") if right[row] else (glyphs.wrong, "bad")
            segments.append(Segment(f" {mark}", style(role)))
        strips.append(Strip(segments).adjust_cell_length(width))
    strips.append(_floor(columns, expected, chosen, width, style, glyphs))
    return strips[:height] + [Strip.blank(width)] * (height - len(strips))


def legend_strip(width: int, style: Callable[[str], Style], glyphs: HeatGlyphs = UNICODE) -> Strip:
    """What shades and marks mean, in words."""
    segments = [Segment("probability ", style("dim"))]
    for level, low in enumerate(LEVELS, start=1):
        segments.append(Segment(glyphs.shades[level] * 2, style("bar")))
        segments.append(Segment(f" {100 * low:.0f} %+  ", style("dim")))
    segments += [Segment(glyphs.expected, style("expected")), Segment(" expected  ", style("dim"))]
    segments += [Segment(glyphs.shades[4], style("predicted")), Segment(" predicted  ", style("dim"))]
    segments += [Segment(glyphs.right, style("good")), Segment(" right", style("dim"))]
    return Strip(segments).adjust_cell_length(width)


def _title(title: str, width: int, style: Callable[[str], Style]) -> Strip:
    return Strip([Segment(" " * LABEL), Segment(title, style("heading"))]).adjust_cell_length(width)


def _row(
    shades: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    expected: range,
    predicted: range,
    chosen: range,
    style: Callable[[str], Style],
    glyphs: HeatGlyphs,
) -> list[Segment]:
    """The cells of a row, runs of equal ones joined. An empty cell lets the expected column shine through."""
    cells = []
    for column, level in enumerate(shades.tolist()):
        if level:
            cells.append((glyphs.shades[level], "predicted" if column in predicted else "bar"))
        elif column in expected:
            cells.append((glyphs.guide, "expected"))
        elif column in chosen:
            cells.append((glyphs.guide, "dim"))
        else:
            cells.append((" ", "bar"))
    segments: list[Segment] = []
    first = 0
    for place in range(1, len(cells) + 1):
        if place == len(cells) or cells[place][1] != cells[first][1]:
            text = "".join(glyph for glyph, _ in cells[first:place])
            segments.append(Segment(text, style(cells[first][1])))
            first = place
    return segments


def _floor(
    columns: Columns,
    expected: range,
    chosen: range,
    width: int,
    style: Callable[[str], Style],
    glyphs: HeatGlyphs,
) -> Strip:
    segments = [Segment(" " * LABEL)]
    for column in range(columns.count):
        if column in expected:
            segments.append(Segment(glyphs.expected, style("expected")))
        elif column in chosen:
            segments.append(Segment(glyphs.cursor, style("cursor")))
        else:
            segments.append(Segment(" "))
    return Strip(segments).simplify().adjust_cell_length(width)
