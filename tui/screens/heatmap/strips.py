"""The heat map of one example as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.drawing.columns import fit_text
from tui.screens.heatmap.model import (
    ASCII_SHADES,
    LEVELS,
    SHADES,
    UNREADABLE,
    Columns,
    HeatMap,
    rows_around,
    shade,
    spread,
)

Part = Literal["start", "end"]
PARTS: tuple[Part, ...] = ("start", "end")

LABEL = 13
"""Cells left of the map: the cursor's mark, a snapshot's label, the axis."""
TALLEST = 3
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
    part: Part,
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
    notes: Sequence[str] = (),
) -> list[Strip]:
    """`height` lines: a title, rows for the snapshots (a page around `current` where there are more than lines, as
    many lines each where there are fewer), and a floor that marks the expected token. A row's mark at its end
    says whether the predicted token is the expected one, its note what else there is to say; the column of
    `token` (-1: none) is the reader's own."""
    rows, tall = share_rows(current, len(labels), height)
    strips = [_title(part, width, style)]
    shades = shade(spread(heat.probability[rows.start : rows.stop], columns))
    right = heat.right
    expected = columns.of(heat.expected) if heat.expected >= 0 else range(0)
    chosen = columns.of(token) if token >= 0 else range(0)
    for place, row in enumerate(rows):
        here = row == current
        predicted = columns.of(int(heat.predicted[row])) if heat.predicted[row] >= 0 else range(0)
        unreadable = heat.predicted[row] == UNREADABLE
        cells = lower = _row(part, shades[place], expected, predicted, chosen, style, glyphs)
        if unreadable:
            words = "can't be read"[: columns.count].ljust(columns.count)
            cells, lower = [Segment(words, style("warn"))], []
        label = f"{glyphs.here if here else ' '} {fit_text(labels[row], LABEL - 4, 'right')} "
        segments = [Segment(label, style("cursor" if here else "text")), Segment(glyphs.axis, style("axis")), *cells]
        if heat.expected >= 0:
            mark, role = (glyphs.right, "good") if right[row] else (glyphs.wrong, "bad")
            if unreadable:
                mark, role = "?", "warn"
            segments.append(Segment(f" {mark}", style(role)))
        if notes:
            segments.append(Segment(f" {notes[row]}", style("good" if right[row] else "text")))
        strips.append(Strip(segments).adjust_cell_length(width))
        below = [Segment(" " * (LABEL - 1)), Segment(glyphs.axis, style("axis")), *lower]
        strips += [Strip(below).adjust_cell_length(width)] * (tall - 1)
    strips.append(_floor(part, columns, expected, chosen, width, style, glyphs))
    return strips[:height] + [Strip.blank(width)] * (height - len(strips))


def share_rows(current: int, snapshots: int, height: int) -> tuple[range, int]:
    """The snapshots that a map of `height` lines shows, and the lines that each of them gets."""
    room = max(0, height - 2)
    rows = rows_around(current, snapshots, room)
    return rows, max(1, min(TALLEST, room // max(1, len(rows))))


def legend_strip(width: int, style: Callable[[str], Style], glyphs: HeatGlyphs = UNICODE) -> Strip:
    """What shades and marks mean, in words."""
    segments = [Segment(" probability from ", style("dim"))]
    for level, low in enumerate(LEVELS, start=1):
        segments.append(Segment(glyphs.shades[level], style("text")))
        segments.append(Segment(f" {100 * low:.0f} %  ", style("dim")))
    segments += [Segment("  "), *(Segment(glyphs.expected, style(f"expected_{part}")) for part in PARTS)]
    segments.append(Segment(" expected  ", style("dim")))
    segments += [Segment(glyphs.shades[4], style("predicted")), Segment(" predicted  ", style("dim"))]
    segments += [Segment(glyphs.right, style("good")), Segment(" right", style("dim"))]
    return Strip(segments).adjust_cell_length(width)


def _title(part: Part, width: int, style: Callable[[str], Style]) -> Strip:
    return Strip([Segment(" " * LABEL), Segment(f"{part} of the answer", style("heading"))]).adjust_cell_length(width)


def _row(
    part: Part,
    shades: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    expected: range,
    predicted: range,
    chosen: range,
    style: Callable[[str], Style],
    glyphs: HeatGlyphs,
) -> list[Segment]:
    """The cells of a row, runs of equal ones joined. An empty cell lets the expected column shine through."""
    cells: list[tuple[str, str]] = []
    for column, level in enumerate(shades.tolist()):
        if level:
            cells.append((glyphs.shades[level], "predicted" if column in predicted else part))
        elif column in expected:
            cells.append((glyphs.guide, f"expected_{part}"))
        elif column in chosen:
            cells.append((glyphs.guide, "dim"))
        else:
            cells.append((" ", part))
    segments: list[Segment] = []
    first = 0
    for place in range(1, len(cells) + 1):
        if place == len(cells) or cells[place][1] != cells[first][1]:
            text = "".join(glyph for glyph, _ in cells[first:place])
            segments.append(Segment(text, style(cells[first][1])))
            first = place
    return segments


def _floor(
    part: Part,
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
            segments.append(Segment(glyphs.expected, style(f"expected_{part}")))
        elif column in chosen:
            segments.append(Segment(glyphs.cursor, style("cursor")))
        else:
            segments.append(Segment(" "))
    return Strip(segments).simplify().adjust_cell_length(width)
