"""Reliability and coverage as lines of text. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from textual.strip import Strip

from engine.insight.calibration import Bin, Calibration, Coverage
from tui.drawing.canvas import BRAILLE, Stroke, draw
from tui.drawing.columns import fit_text
from tui.drawing.frame import ASCII, UNICODE, ChartCell, Glyphs, floor, gutter, runs
from tui.drawing.theme import StyleOf

GUTTER = 6
WIDEST_BIN = 4
THREE_PANELS, TWO_PANELS = 120, 60
"""From these widths on there is room for the diagram before and after, and for one beside the coverage."""
FEW = 200
"""With fewer questions an error of some hundredths is chance."""
WORDS = 4
"""Lines of text around the charts."""


@dataclass(frozen=True)
class TrustGlyphs:
    """`parts` are 1 to 8 eighths of a cell; `confidence` stands at the mean confidence of a bin; the curves of the
    questions `answered` and of their `f1` differ in shape."""

    parts: str
    confidence: str
    answered: str
    f1: str


TRUST_GLYPHS = {
    UNICODE: TrustGlyphs(parts="▁▂▃▄▅▆▇█", confidence="━", answered=BRAILLE, f1="o"),
    ASCII: TrustGlyphs(parts="..::oo##", confidence="=", answered=".", f1="o"),
}


def trust_strips(
    found: Calibration,
    cursor: float,
    width: int,
    height: int,
    style: StyleOf,
    glyphs: Glyphs = UNICODE,
    *,
    before: bool,
) -> list[Strip]:
    """`height` lines: the errors, the diagrams that fit, and what the confidence `cursor` means. `before`: the diagram
    at temperature 1, where there is room for one."""
    diagrams = [("before", found.before, found.error_before), ("after", found.after, found.error_after)]
    if width < THREE_PANELS:
        diagrams = [diagrams[0 if before else 1]]
    rows, each = max(0, height - WORDS), width // (len(diagrams) + (width >= TWO_PANELS))
    charts = [reliability_strips(*diagram, cursor, each, rows, style, glyphs) for diagram in diagrams]
    if width >= TWO_PANELS:
        charts.append(coverage_strips(found.coverage, cursor, each, rows, style, glyphs))

    def line(text: str, role: str = "text") -> Strip:
        return Strip([Segment(" " + fit_text(text, max(0, width - 1)), style(role))])

    lines = [
        line(error_words(found)),
        line(held_out_words(found)),
        *(Strip.join(parts) for parts in zip(*charts, strict=True)),
        line(coverage_words(found, cursor), "heading"),
        line(bin_words(found.before if before else found.after, cursor)),
    ]
    return [strip.adjust_cell_length(width) for strip in lines[:height]]


def error_words(found: Calibration) -> str:
    """The calibration error without and with the temperature."""
    after = f"{found.error_after:.3f} at temperature {found.temperature:.2f}"
    return f"calibration error {found.error_before:.3f} before, {after}"


def held_out_words(found: Calibration) -> str:
    """What all this was measured on, and how good the answers are there."""
    if found.no_answer_threshold is None:
        scores = f"EM {found.exact_match:.1f}, F1 {found.f1:.1f}"
    else:
        scores = f"F1 {found.f1:.1f} at null odds {found.no_answer_threshold:+.2f} ({found.f1_at_zero:.1f} at 0)"
    whose = "" if found.by_passage else " of the same passage"
    few = "; few, so roughly" if found.held_out < FEW else ""
    return f"on {found.held_out:,} questions: {scores}; fitted on {found.fitted_on:,} others{whose}{few}"


def coverage_words(found: Calibration, cursor: float) -> str:
    """What answering from a confidence on does, in words."""
    point = coverage_at(found.coverage, cursor)
    if point is None:
        return f"answer only above {cursor:.2f}: no question"
    return (
        f"answer only above {cursor:.2f}: {100 * point.share:.0f} % of questions, "
        f"F1 {point.f1:.1f}, EM {point.exact_match:.1f}"
    )


def coverage_at(points: Sequence[Coverage], cursor: float) -> Coverage | None:
    """The point at a confidence; None beyond the surest answer."""
    return next((point for point in points if abs(point.confidence - cursor) < 0.005), None)


def bin_words(bins: Sequence[Bin], cursor: float) -> str:
    """The bin that holds a confidence, in words."""
    number = bin_of(cursor, len(bins))
    one = bins[number]
    name = f"confidence {number / len(bins):.2f} to {(number + 1) / len(bins):.2f}"
    if not one.count:
        return f"{name}: no answers"
    answers = "1 answer" if one.count == 1 else f"{one.count:,} answers"
    return f"{name}: {answers}, {one.confidence:.2f} sure on average, {one.accuracy:.2f} right"


def bin_of(confidence: float, bins: int) -> int:
    """The bin of a confidence: those of (k/B, (k+1)/B], the first with 0 itself."""
    return max(0, min(bins - 1, math.ceil(round(confidence * bins, 9)) - 1))


def reliability_strips(
    name: str,
    bins: Sequence[Bin],
    error: float,
    cursor: float,
    width: int,
    height: int,
    style: StyleOf,
    glyphs: Glyphs = UNICODE,
) -> list[Strip]:
    """A reliability diagram: a title, bars of accuracy with their mean confidence, a floor, and the scale under it."""
    own = TRUST_GLYPHS[glyphs]
    rows = max(1, height - 3)
    each = max(1, min(WIDEST_BIN, (width - GUTTER) // max(1, len(bins))))
    cells = [[(" ", "")] * (each * len(bins)) for _ in range(rows)]
    for number, one in enumerate(bins):
        if one.count:
            _draw_bin(cells, one, number * each, each, own)
    here = bin_of(cursor, len(bins))
    title = [Segment(f" {name} ", style("heading")), Segment(f"error {error:.3f}", style("text"))]
    for sign, role, word in ((own.parts[-1], "first", "right"), (own.confidence, "level", "sure")):
        title += [Segment(f"  {sign}", style(role)), Segment(f" {word}", style("text"))]
    lines = [Strip(title)]
    lines += [Strip([*_axis(row, rows, style, glyphs), *runs(line, style)]) for row, line in enumerate(cells)]
    under = " " * (GUTTER - 1) + glyphs.corner + glyphs.floor * (each * len(bins))
    lines.append(Strip(floor(under, GUTTER + here * each + each // 2, style, glyphs)))
    lines.append(Strip([Segment(_scale(each * len(bins)), style("axis"))]))
    return _fitted(lines, width, height)


def _draw_bin(cells: list[list[ChartCell]], one: Bin, left: int, each: int, own: TrustGlyphs) -> None:
    rows, wide = len(cells), max(1, each - (each > 2))
    eighths = round(one.accuracy * rows * 8)
    for row in range(rows):
        part = min(8, eighths - 8 * row)
        if part > 0:
            cells[rows - 1 - row][left : left + wide] = [(own.parts[part - 1], "first")] * wide
    at = min(rows - 1, int(one.confidence * rows))
    cells[rows - 1 - at][left : left + wide] = [(own.confidence, "level")] * wide


def coverage_strips(
    points: Sequence[Coverage], cursor: float, width: int, height: int, style: StyleOf, glyphs: Glyphs = UNICODE
) -> list[Strip]:
    """Share of questions answered and their F1 over the confidence that an answer needs."""
    own = TRUST_GLYPHS[glyphs]
    rows, columns = max(1, height - 3), max(2, width - GUTTER - 1)
    x = [point.confidence for point in points]
    strokes = [
        Stroke(x, [100 * point.share for point in points], own.answered, joined=True),
        Stroke(x, [point.f1 for point in points], own.f1, joined=True),
    ]
    roles = ("first", "second")
    guide = round(cursor * (columns - 1))
    answered = "⣀⣀" if own.answered == BRAILLE else own.answered * 2
    title = [Segment(" coverage", style("heading"))]
    for sign, role, word in ((answered, "first", "% answered"), (own.f1, "second", "F1")):
        title += [Segment(f"  {sign}", style(role)), Segment(f" {word}", style("text"))]
    lines = [Strip(title)]
    for row, line in enumerate(draw(strokes, columns, rows, (0, 1), (0, 100))):
        made: list[ChartCell] = [
            (cell.char, roles[cell.stroke])
            if cell.stroke >= 0 and cell.char.strip("\u2800 ")
            else (glyphs.guide, "dim")
            if column == guide
            else (" ", "")
            for column, cell in enumerate(line)
        ]
        lines.append(Strip([*_axis(row, rows, style, glyphs, top="100"), *runs(made, style)]))
    under = " " * (GUTTER - 1) + glyphs.corner + glyphs.floor * columns
    lines.append(Strip(floor(under, GUTTER + guide, style, glyphs)))
    lines.append(Strip([Segment(_scale(columns), style("axis"))]))
    return _fitted(lines, width, height)


def _axis(row: int, rows: int, style: StyleOf, glyphs: Glyphs, *, top: str = "1") -> list[Segment]:
    middle = {"1": "0.5", "100": "50"}[top]
    label = top if row == 0 else "0" if row == rows - 1 else middle if rows >= 5 and row == rows // 2 else ""
    return gutter(label, GUTTER, style, glyphs)


def _scale(columns: int) -> str:
    """The ends of the axis of confidence, and its name."""
    name = "confidence" if columns >= 16 else ""
    return " " * GUTTER + "0" + f"{name:^{max(0, columns - 2)}}" + "1"


def _fitted(lines: list[Strip], width: int, height: int) -> list[Strip]:
    blank = [Strip.blank(width)] * max(0, height - len(lines))
    return [line.adjust_cell_length(width) for line in lines[:height]] + blank
