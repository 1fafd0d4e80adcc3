"""The answers as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.strip import Strip

from engine.messages import Answer, Candidate
from tui.drawing.columns import fit_text
from tui.drawing.frame import Glyphs
from tui.drawing.passage import answer_marks, line_strips, passage_lines
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf
from tui.drawing.token_bars import TokenChart
from tui.drawing.token_geometry import Geometry
from tui.drawing.token_strips import token_strips
from tui.model.predictions import NO_ANSWER
from tui.model.token_scale import extremes, limits, scaled
from tui.screens.ask.model import AnswerWindow
from tui.view_state import SCALE_WORDS, Scale

SHOWN = 300
"""Characters of an answer in a list."""


def answer_strips(answer: Answer, width: int, rows: int, style: StyleOf, glyphs: Glyphs) -> list[Strip]:
    """The answer with its probability, and what else the model thought of, at most `rows` lines."""
    lines = []
    listed = answer.n_best or (_only(answer),)
    for number, one in enumerate(listed[:rows], 1):
        first = number == 1
        segments = [
            Segment(
                f" {glyphs.predicted} answer " if first else f" {number:>8} ", style("predicted" if first else "dim")
            ),
            Segment(f"{100 * one.probability:5.1f} %", style("heading" if first else "dim")),
            Segment(f" {one.score:7.2f}  ", style("dim")),
            Segment(plain(one.text, SHOWN) or f"({NO_ANSWER})", style("heading" if first else "text")),
        ]
        if first and answer.null_odds is not None:
            segments.append(Segment(f"   null odds {answer.null_odds:+.2f}", style("dim")))
        if first and answer.windows > 1:
            segments.append(Segment(f"   of {answer.windows} windows", style("dim")))
        lines.append(Strip(segments).crop(0, width))
    return lines


def _only(answer: Answer) -> Candidate:
    return Candidate(answer.text, answer.char_start, answer.char_end, 0.0, 0.0, answer.score, answer.probability)


def all_strips(
    rows: Sequence[tuple[str, Answer | str]], chosen: int, width: int, height: int, style: StyleOf, glyphs: Glyphs
) -> list[Strip]:
    """One line for each of the kept weights: the name, the probability, and the answer or why there is none. An answer
    that is not the one before is marked."""
    room = max((len(plain(label, 40)) for label, _ in rows), default=0)
    first = max(0, min(chosen - height // 2, len(rows) - height))
    lines, before = [], None
    for number, (label, found) in enumerate(rows):
        segments = [
            Segment(
                f" {glyphs.pointer if number == chosen else ' '} ", style("cursor" if number == chosen else "text")
            ),
            Segment(fit_text(plain(label, 40), room), style("heading" if number == chosen else "text")),
        ]
        if isinstance(found, str):
            segments.append(Segment(f"  {plain(found, 500)}", style("dim")))
            before = None
        else:
            changed = before is not None and before != found.text
            segments += [
                Segment(f"  {100 * found.probability:5.1f} % ", style("text")),
                Segment("changed " if changed else "        ", style("warn")),
                Segment(plain(found.text, SHOWN) or f"({NO_ANSWER})", style("text")),
            ]
            before = found.text
        lines.append(Strip(segments).crop(0, width))
    return lines[first : first + height]


def chart_strips(
    window: AnswerWindow, geometry: Geometry, rows: int, token: int, scale: Scale, style: StyleOf, glyphs: Glyphs
) -> list[Strip]:
    """The two charts of Journey, `rows` lines each."""
    sides = [scaled(logits, window.choosable, scale) for logits in (window.start, window.end)]
    if scale == "probability":
        low, high = 0.0, 1.0
    else:
        low, high = limits(extremes(window.start, window.end)[None], scale)
    lines: list[Strip] = []
    for side, name in enumerate(("start", "end")):
        chart = TokenChart(
            title=f"{name} of the answer",
            measure=SCALE_WORDS[scale],
            values=sides[side],
            low=low,
            high=high,
            role=name,
            expected_role=f"expected_{name}",
            expected=window.expected[side],
            predicted=window.predicted[side],
            cursor=token,
        )
        lines += token_strips(chart, geometry, rows, style, glyphs)
    return lines


def passage_strips(
    context: str,
    predicted: tuple[int, int] | None,
    expected: tuple[int, int] | None,
    width: int,
    rows: int,
    style: StyleOf,
    glyphs: Glyphs,
    *,
    cursor: tuple[int, int] | None,
    first: int | None,
) -> tuple[list[Strip], int]:
    """The passage with the answers marked, and the code point at which it begins; at `first` where that shows them."""
    if rows <= 0:
        return [], 0
    marks = answer_marks(expected, predicted)
    lines, begins = passage_lines(context, width - 2, rows, marks, cursor=cursor, first=first, glyphs=glyphs)
    return line_strips(lines, style), begins
