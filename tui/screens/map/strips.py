"""Map as lines and cells: the data map drawn by plotext, rows of the list, the example under the cursor. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.segment import Segment
from textual.strip import Strip

from engine.data.examples import Example
from engine.insight.dynamics import Dynamics
from engine.insight.suspects import Suspect, reason
from engine.rundir.verdicts import Verdict
from tui.drawing.canvas import Stroke, draw
from tui.drawing.columns import Column, fit_text
from tui.drawing.frame import ASCII, UNICODE, ChartCell, Glyphs, gutter, runs
from tui.drawing.messages import message_lines
from tui.drawing.passage import answer_marks, line_strips, passage_lines
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf
from tui.model.verdict_words import verdict_words
from tui.screens.map.model import CLASSES, WIDEST, MapCells, WordChoice, classes, majorities, map_cells
from tui.widgets.row_list import CellText, Row

GUTTER = 6
"""Cells left of the map: a label of four, a blank, the axis."""
SIGNS = {UNICODE: "✗○◐●", ASCII: "x-+o"}
"""A sign for each class of correctness; shapes alone tell them apart."""
ROLES = ("bad", "warn", "text", "good")
CELL_LIMIT = 300
REASON_LINES = 2
MESSAGE_LINES = 4
NOTHING_CHOSEN = WordChoice()

SUSPECT_COLUMNS = (
    Column("rank", "#", 4, align="right"),
    Column("verdict", "", 8, from_width=130),
    Column("ident", "id", 10, share=1, from_width=150),
    Column("question", "question", 12, share=2, from_width=110),
    Column("reason", "why", 40, share=5),
)
ALL_COLUMNS = (
    Column("number", "#", 5, align="right"),
    Column("confidence", "conf", 4, align="right"),
    Column("variability", "var", 4, align="right"),
    Column("right", "right", 5, align="right"),
    Column("forgotten", "forg", 4, align="right"),
    Column("first", "learned", 9),
    Column("question", "question", 12, share=4),
    Column("label", "label", 9, share=2),
)


@dataclass(frozen=True)
class Shown:
    """The example under the cursor: what the model answers instead of its label (code points; None: nothing to show),
    why it is listed where it is, the user's verdict, and the answer that is being chosen."""

    number: int
    example: Example
    answer: tuple[int, int] | None
    suspect: Suspect | None
    verdict: Verdict | None
    choice: WordChoice = NOTHING_CHOSEN


def map_strips(
    dynamics: Dynamics, example: int, width: int, height: int, style: StyleOf, glyphs: Glyphs, *, walked: bool
) -> tuple[list[Strip], MapCells | None]:
    """`height` lines of `width` cells: a title with the signs, the map, and the axis of variability; and the cells."""
    columns, rows = width - GUTTER - 1, height - 2
    if columns < 4 or rows < 2:
        return [], None
    cells = map_cells(dynamics, columns, rows)
    kinds = majorities(cells, classes(dynamics.correctness))
    lines = _canvas(kinds, SIGNS[glyphs])
    column, row = cells.at(example)
    if column >= 0:
        sign, _ = lines[rows - 1 - row][column]
        lines[rows - 1 - row][column] = (sign, "cursor")
    labels = {0: "1.0", rows // 2: "0.5" if rows % 2 else "", rows - 1: "0.0"}
    strips = [_title(dynamics, cells, example, width, style, glyphs, walked=walked)]
    for number, line in enumerate(lines):
        label = f"{labels.get(number, '')} "
        strips.append(Strip([*gutter(label, GUTTER, style, glyphs), *runs(line, style)]).adjust_cell_length(width))
    name = " variability "
    scale = f" 0 {glyphs.floor * max(0, (columns - len(name)) // 2 - 3)}{name}"
    scale += glyphs.floor * max(0, columns - len(scale) - 5) + f" {WIDEST} "
    strips.append(Strip([Segment(" " * (GUTTER - 1) + glyphs.corner, style("axis")), Segment(scale, style("axis"))]))
    return [strip.adjust_cell_length(width) for strip in strips], cells


def _canvas(kinds: np.ndarray[tuple[int, ...], np.dtype[np.int8]], signs: str) -> list[list[ChartCell]]:
    """(character, role) of every cell, top row first."""
    height, width = kinds.shape
    strokes = []
    for number, sign in enumerate(signs):
        row, column = np.nonzero(kinds == number)
        strokes.append(Stroke(column.tolist(), row.tolist(), sign))
    drawn = draw(strokes, width, height, (0.0, width - 1.0), (0.0, height - 1.0))
    return [[(cell.char, ROLES[cell.stroke] if cell.stroke >= 0 else "") for cell in line] for line in drawn]


def _title(
    dynamics: Dynamics, cells: MapCells, example: int, width: int, style: StyleOf, glyphs: Glyphs, *, walked: bool
) -> Strip:
    """What the signs mean, and how many examples stand under the cursor; what does not fit is left out whole."""
    lead = f"{glyphs.pointer if walked else ' '} confidence"
    segments, room = [Segment(lead, style("cursor" if walked else "heading"))], width - len(lead)
    parts = [(f"  {sign} ", role, word) for sign, role, word in zip(SIGNS[glyphs], ROLES, CLASSES, strict=True)]
    here = len(cells.same(example))
    if here > 1:
        parts.append(("  ", "text", f"{here} here, n walks them"))
    elif cells.column[example] < 0:
        parts.append(("  ", "warn", "this example is not on the map: no window holds its label"))
    off = int((cells.column < 0).sum())
    if off:
        parts.append(("  ", "dim", f"{off} not on the map"))
    for sign, role, word in parts:
        room -= len(sign) + len(word)
        if room < 0:
            break
        segments += [Segment(sign, style(role)), Segment(word, style("text"))]
    return Strip(segments)


def suspect_row(rank: int, suspect: Suspect, dynamics: Dynamics, example: Example) -> Row:
    """The cells of a suspect."""
    return {
        "rank": CellText(str(rank + 1), "dim"),
        "ident": CellText(plain(example.id, CELL_LIMIT), "dim"),
        "question": CellText(plain(example.question, CELL_LIMIT)),
        "reason": CellText(plain(reason_of(suspect, dynamics, example), CELL_LIMIT)),
    }


def reason_of(suspect: Suspect, dynamics: Dynamics, example: Example) -> str:
    """Why the example is listed. Text from outside: show() it."""
    return reason(suspect, dynamics, example.context, example.answers[0].text if example.answers else None)


def example_row(number: int, dynamics: Dynamics, example: Example, verdict: Verdict | None) -> Row:
    """The cells of an example in the list of all."""
    judged = verdict_words(verdict, CELL_LIMIT)
    label = example.answers[0].text if example.answers else "no answer"
    return {
        "number": CellText(str(number + 1), "dim"),
        "confidence": CellText(_share(dynamics.confidence[number])),
        "variability": CellText(_share(dynamics.variability[number])),
        "right": CellText(_times_right(dynamics, number)),
        "forgotten": CellText(str(int(dynamics.forgetting[number]))),
        "first": CellText(_first(dynamics, number)),
        "question": CellText(plain(example.question, CELL_LIMIT)),
        "label": CellText(plain(judged or label, CELL_LIMIT), "warn" if judged else "true"),
    }


def _share(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "-"


def _times_right(dynamics: Dynamics, number: int) -> str:
    count = len(dynamics.snapshots)
    return f"{round(float(dynamics.correctness[number]) * count)}/{count}"


def _first(dynamics: Dynamics, number: int) -> str:
    first = int(dynamics.first_learned[number])
    return "never" if first < 0 else plain(dict(zip(dynamics.snapshots, dynamics.labels, strict=True))[first], 12)


def detail_strips(
    shown: Shown, dynamics: Dynamics, width: int, height: int, style: StyleOf, glyphs: Glyphs
) -> list[Strip]:
    """The example under the cursor: question, why it is listed, its figures and the verdict, and the passage with the
    label and the model's answer."""
    example, number = shown.example, shown.number
    lines = [
        Strip(
            [
                Segment(f" {number + 1} ", style("dim")),
                Segment(plain(example.question, 2 * CELL_LIMIT), style("heading")),
                Segment(f"  {plain(example.id, 60)}", style("dim")),
            ]
        )
    ]
    if shown.suspect is not None:
        words = plain(reason_of(shown.suspect, dynamics, example), 2 * CELL_LIMIT)
        wrapped = textwrap.wrap(words, max(10, width - 2), max_lines=REASON_LINES, placeholder="…")
        lines += [Strip([Segment(fit_text(f" {line}", width), style("warn"))]) for line in wrapped]
    figures = (
        f" confidence {_share(dynamics.confidence[number])}  variability {_share(dynamics.variability[number])}"
        f"  right {_times_right(dynamics, number)}  forgotten {int(dynamics.forgetting[number])}x"
        f"  learned {_first(dynamics, number)}"
    )
    verdict = plain(verdict_words(shown.verdict, 60))
    words_of_verdict = Segment(f" label {verdict} " if verdict else "", style("warn"))
    chosen = shown.choice.span(example.context) if shown.choice.word >= 0 else None
    if chosen is not None:
        words = f'"{plain(example.context[slice(*chosen)], 200)}"'
        lines.append(
            Strip(
                [
                    Segment(" the right answer: ", style("warn")),
                    Segment(words, style("cursor")),
                    Segment("  S takes it, escape does not", style("dim")),
                ]
            )
        )
    else:
        lines.append(Strip([words_of_verdict, Segment(figures, style("text"))]))
    first = example.answers[0] if example.answers else None
    expected = (first.start, first.start + len(first.text)) if first else None
    predicted = shown.answer if shown.answer is not None and shown.answer[0] >= 0 else None
    rows = height - len(lines)
    if rows > 0:
        marks = answer_marks(expected, predicted)
        passage, _ = passage_lines(example.context, width - 2, rows, marks, cursor=chosen, glyphs=glyphs)
        lines += line_strips(passage, style)
    return [line.crop(0, width) for line in lines[:height]]


def words_strip(
    name: str, count: int, sort: str, judged: int, style: StyleOf, glyphs: Glyphs, *, walked: bool, trouble: str
) -> Strip:
    """What is listed, how much of it, and how many labels are judged."""
    lead = f"{glyphs.pointer if walked else ' '} {name}"
    segments = [Segment(lead, style("cursor" if walked else "heading")), Segment(f" {count:,}", style("text"))]
    if sort:
        segments.append(Segment(f" by {sort}", style("text")))
    if judged:
        segments.append(Segment(f"  {judged:,} {'label' if judged == 1 else 'labels'} judged", style("warn")))
    if trouble:
        segments.append(Segment(f"  {plain(trouble, 200)}", style("bad")))
    return Strip(segments)


def message_strips(words: Sequence[str], width: int, style: StyleOf) -> list[Strip]:
    """Lines that say why there is no map yet."""
    lines = [line for word in words for line in message_lines(word, width - 2, MESSAGE_LINES)]
    return [Strip([Segment(f" {line}", style("dim"))]) for line in lines]
