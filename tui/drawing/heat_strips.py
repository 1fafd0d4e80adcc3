"""A heat map as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rich.segment import Segment
from textual.strip import Strip

from tui.drawing.columns import fit_text
from tui.drawing.frame import ASCII, UNICODE, ChartCell, Glyphs, runs
from tui.drawing.heat_map import (
    LEVELS,
    NOT_SCORED,
    UNREADABLE,
    Columns,
    HeatMap,
    rows_around,
    shade,
    spread,
)
from tui.drawing.theme import StyleOf

Part = Literal["start", "end"]
PARTS: tuple[Part, ...] = ("start", "end")

LABEL = 13
"""Cells left of the map: the cursor's mark, a row's label, the axis."""
UNKNOWN = {UNREADABLE: "can't be read", NOT_SCORED: "not scored"}
"""What stands in a row without scores."""
TALLEST = 3
VERDICT = 2
"""Cells right of the map: whether the predicted token is the expected one."""


@dataclass(frozen=True)
class HeatGlyphs:
    """`shades` from blank to full; `guide` is none of them."""

    shades: str
    guide: str
    cursor: str


HEAT_GLYPHS = {
    UNICODE: HeatGlyphs(shades=" ░▒▓█", guide="┊", cursor="┃"),
    ASCII: HeatGlyphs(shades=" .:*#", guide="'", cursor="|"),
}


def map_strips(
    part: Part,
    heat: HeatMap,
    labels: Sequence[str],
    columns: Columns,
    *,
    current: int,
    token: int,
    width: int,
    height: int,
    style: StyleOf,
    glyphs: Glyphs = UNICODE,
    notes: Sequence[str] = (),
) -> list[Strip]:
    """`height` lines: a title, rows for snapshots or layers (a page around `current` where there are more than lines,
    as many lines each where there are fewer), and a floor that marks the expected token. A row's mark at its end says
    whether the predicted token is the expected one, its note what else there is to say; the column of `token` (-1:
    none) is the reader's own."""
    rows, tall = share_rows(current, len(labels), height)
    strips = [_title(part, width, style)]
    shades = shade(spread(heat.probability[rows.start : rows.stop], columns))
    right = heat.right
    expected = columns.of(heat.expected) if heat.expected >= 0 else range(0)
    chosen = columns.of(token) if token >= 0 else range(0)
    for place, row in enumerate(rows):
        here = row == current
        predicted = columns.of(int(heat.predicted[row])) if heat.predicted[row] >= 0 else range(0)
        unknown = UNKNOWN.get(int(heat.predicted[row]), "")
        cells = lower = _row(part, shades[place], expected, predicted, chosen, style, glyphs)
        if unknown:
            words = unknown[: columns.count].ljust(columns.count)
            cells, lower = [Segment(words, style("warn"))], []
        label = f"{glyphs.pointer if here else ' '} {fit_text(labels[row], LABEL - 4, 'right')} "
        segments = [Segment(label, style("cursor" if here else "text")), Segment(glyphs.axis, style("axis")), *cells]
        if heat.expected >= 0:
            mark, role = (glyphs.right, "good") if right[row] else (glyphs.wrong, "bad")
            if unknown:
                mark, role = "?", "warn"
            segments.append(Segment(f" {mark}", style(role)))
        if notes:
            segments.append(Segment(f" {notes[row]}", style("good" if right[row] else "text")))
        strips.append(Strip(segments).adjust_cell_length(width))
        below = [Segment(" " * (LABEL - 1)), Segment(glyphs.axis, style("axis")), *lower]
        strips += [Strip(below).adjust_cell_length(width)] * (tall - 1)
    strips.append(_floor(part, columns, expected, chosen, width, style, glyphs))
    return strips[:height] + [Strip.blank(width)] * (height - len(strips))


def share_rows(current: int, total: int, height: int) -> tuple[range, int]:
    """The rows that a map of `height` lines shows, and the lines that each of them gets."""
    room = max(0, height - 2)
    rows = rows_around(current, total, room)
    return rows, max(1, min(TALLEST, room // max(1, len(rows))))


def legend_strip(
    width: int, style: StyleOf, glyphs: Glyphs = UNICODE, *, expected: str = "expected", predicted: str = "predicted"
) -> Strip:
    """What shades and marks mean, in words; `expected` and `predicted` name the two marks of a row's tokens."""
    segments = [Segment(" probability from ", style("dim"))]
    for level, low in enumerate(LEVELS, start=1):
        segments.append(Segment(HEAT_GLYPHS[glyphs].shades[level], style("text")))
        segments.append(Segment(f" {100 * low:.0f} %  ", style("dim")))
    segments += [Segment("  "), *(Segment(glyphs.expected, style(f"expected_{part}")) for part in PARTS)]
    segments.append(Segment(f" {expected}  ", style("dim")))
    segments += [Segment(HEAT_GLYPHS[glyphs].shades[4], style("predicted")), Segment(f" {predicted}  ", style("dim"))]
    segments += [Segment(glyphs.right, style("good")), Segment(" right", style("dim"))]
    return Strip(segments).adjust_cell_length(width)


def _title(part: Part, width: int, style: StyleOf) -> Strip:
    return Strip([Segment(" " * LABEL), Segment(f"{part} of the answer", style("heading"))]).adjust_cell_length(width)


def _row(
    part: Part,
    shades: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    expected: range,
    predicted: range,
    chosen: range,
    style: StyleOf,
    glyphs: Glyphs,
) -> list[Segment]:
    """The cells of a row, runs of equal ones joined. An empty cell lets the expected column shine through."""
    cells: list[ChartCell] = []
    for column, level in enumerate(shades.tolist()):
        if level:
            cells.append((HEAT_GLYPHS[glyphs].shades[level], "predicted" if column in predicted else part))
        elif column in expected:
            cells.append((HEAT_GLYPHS[glyphs].guide, f"expected_{part}"))
        elif column in chosen:
            cells.append((HEAT_GLYPHS[glyphs].guide, "dim"))
        else:
            cells.append((" ", part))
    return runs(cells, style)


def _floor(
    part: Part,
    columns: Columns,
    expected: range,
    chosen: range,
    width: int,
    style: StyleOf,
    glyphs: Glyphs,
) -> Strip:
    cells: list[ChartCell] = []
    for column in range(columns.count):
        if column in expected:
            cells.append((glyphs.expected, f"expected_{part}"))
        elif column in chosen:
            cells.append((HEAT_GLYPHS[glyphs].cursor, "cursor"))
        else:
            cells.append((" ", ""))
    return Strip([Segment(" " * LABEL), *runs(cells, style)]).adjust_cell_length(width)
