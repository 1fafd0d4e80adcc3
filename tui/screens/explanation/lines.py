"""An explanation as lines of text: words that weigh most, and question and passage with a mark under every token. Pure.

The height of a mark says how much a token weighs, its texture whether it speaks for the answer or against it: nothing
is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, get_character_cell_size
from rich.segment import Segment
from textual.strip import Strip

from engine.data.segments import CONTEXT, QUESTION
from engine.insight.attribution import Word, heaviest, words
from engine.messages import Explanation, MaskingTest, Opinion, WindowScores
from tui.drawing.columns import fit_text
from tui.drawing.frame import ASCII, UNICODE, ChartCell, Glyphs, runs
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf

LEVELS = 8
LIST = 34
"""Cells of the list of words, where it stands beside the text."""
NARROW = 70
"""Below this width there is no list."""
WORD, BAR = 12, 6


@dataclass(frozen=True)
class WeightGlyphs:
    """Marks of 1 to LEVELS eighths of the largest weight, for the answer and against it."""

    supports: str
    opposes: str


WEIGHT_GLYPHS = {
    UNICODE: WeightGlyphs(supports="▁▂▃▄▅▆▇█", opposes="░░░▒▒▒▓▓"),
    ASCII: WeightGlyphs(supports="..::oo##", opposes="---===%%"),
}


@dataclass(frozen=True)
class Weighed:
    """What is drawn of one opinion: the window's words, its tokens' levels (-LEVELS to LEVELS; 0: next to nothing)."""

    question: str
    context: str
    window: WindowScores
    words: list[Word]
    levels: list[int]
    start: int
    end: int
    test: MaskingTest

    @classmethod
    def of(cls, found: Explanation, opinion: Opinion, question: str, context: str) -> Weighed:
        [window] = found.answer.scores
        held = words(question, context, window.segment, window.char_start, window.char_end, opinion.weights)
        largest = max(
            (abs(weight) for weight, kind in zip(opinion.weights, window.segment, strict=True) if kind), default=0
        )
        levels = [
            level(weight / largest) if largest and kind else 0
            for weight, kind in zip(opinion.weights, window.segment, strict=True)
        ]
        return cls(question, context, window, held, levels, found.start, found.end, opinion.test)

    def answers(self, word: Word) -> bool:
        """Whether a word is part of the answer, whose tokens are never masked."""
        return word.segment == CONTEXT and word.first <= self.end and self.start <= word.last


def level(share: float) -> int:
    """Eighths of the largest weight, rounded; its sign is the weight's."""
    return round(LEVELS * max(-1.0, min(1.0, share)))


def masking_strip(test: MaskingTest, style: StyleOf) -> Strip:
    """The masking test in one line: how far the answer's probability falls, beside how far it falls at random."""
    count = len(test.masked)
    if test.before - test.after > max(test.before - test.after_random, 0.0):
        verdict, role = "they matter", "good"
    else:
        verdict, role = "doubt it", "bad"
    return Strip(
        [
            Segment(f" masking the top {count} ", style("heading")),
            Segment(f"{_percent(test.before)} → {_percent(test.after)}", style("text")),
            Segment(f"; {count} random others (mean of {test.draws}) {_percent(test.before)} → ", style("dim")),
            Segment(_percent(test.after_random), style("dim")),
            Segment(f"   {verdict}", style(role)),
        ]
    )


def legend_strip(opinion: Opinion, style: StyleOf, glyphs: Glyphs) -> Strip:
    """What the marks mean, in words."""
    own = WEIGHT_GLYPHS[glyphs]
    segments = [Segment(" marks ", style("dim")), Segment(own.supports, style("level"))]
    if opinion.method == "gradient":
        words = " gradient norm: how strongly log P(answer) reacts to the token"
        return Strip([*segments, Segment(words, style("dim"))])
    segments += [Segment(" for the answer ", style("dim")), Segment(own.opposes, style("bad"))]
    segments += [Segment(f" against it; missed: {opinion.gap:+.2f} of log P", style("dim"))]
    return Strip(segments)


def word_strips(weighed: Weighed, width: int, rows: int, style: StyleOf, glyphs: Glyphs) -> list[Strip]:
    """The words that weigh most, each with a bar and its share; which of them are the answer's, and which the test
    masked."""
    own = WEIGHT_GLYPHS[glyphs]
    strips: list[Strip] = []
    top = heaviest(weighed.words, rows)
    largest = max((abs(word.share) for word in top), default=0.0) or 1.0
    for word in top:
        against = word.share < 0
        length = max(1, round(BAR * abs(word.share) / largest)) if word.share else 0
        bar = (own.opposes if against else own.supports)[-1] * length
        note = "answer" if weighed.answers(word) else "masked" if word.holds(weighed.test.masked) else ""
        if not note and word.segment == QUESTION:
            note = "question"
        segments = [
            Segment(" " + fit_text(plain(word.text, 40), WORD), style("text")),
            Segment(f" {bar:<{BAR}}", style("bad" if against else "level")),
            Segment(f"{100 * word.share:4.0f}%", style("text")),
            Segment(f" {note}", style("dim")),
        ]
        strips.append(Strip(segments).crop(0, width))
    return strips


def text_strips(weighed: Weighed, width: int, style: StyleOf, glyphs: Glyphs) -> tuple[list[Strip], int]:
    """Question and the window's part of the passage, wrapped, each line with a line of marks under it where there is
    something to mark; and the number of the line with the answer's first token, 0 where it is none."""
    strips: list[Strip] = []
    at_answer = 0
    for kind, text in ((QUESTION, weighed.question), (CONTEXT, weighed.context)):
        cells = _cells(weighed, kind, text, glyphs)
        for line in _wrapped(cells, max(8, width)):
            if any(cell.answer for cell in line) and not at_answer:
                at_answer = len(strips)
            strips.append(Strip(runs([(cell.char, _role(cell)) for cell in line], style)))
            marks = [_mark(cell, glyphs) for cell in line]
            if any(char.strip() for char, _ in marks):
                strips.append(Strip(runs(marks, style)))
        if kind == QUESTION:
            strips.append(Strip.blank(width))
    return strips, at_answer


@dataclass(frozen=True)
class _Cell:
    """A character with its token's level; brackets around the answer are cells of level 0."""

    char: str
    level: int
    answer: bool


def _cells(weighed: Weighed, kind: int, text: str, glyphs: Glyphs) -> list[_Cell]:
    window = weighed.window
    places = [
        (low, high, token)
        for token, (segment, low, high) in enumerate(
            zip(window.segment, window.char_start, window.char_end, strict=True)
        )
        if segment == kind
    ]
    if not places:
        return []
    first, last = places[0][0], max(high for _, high, _ in places)
    if kind == QUESTION:
        first, last = 0, len(text)
    levels = [0] * (last - first)
    for low, high, token in places:
        for at in range(low - first, high - first):
            if abs(weighed.levels[token]) > abs(levels[at]):
                levels[at] = weighed.levels[token]
    answer = range(0)
    if kind == CONTEXT and window.segment[weighed.start] == CONTEXT:
        answer = range(window.char_start[weighed.start], window.char_end[weighed.end])
    cells = [_Cell("…", 0, False)] if first > 0 and kind == CONTEXT else []
    for at, char in enumerate(plain(text[first:last], last - first), first):
        if answer and at == answer.start:
            cells += [_Cell(sign, 0, True) for sign in f"{glyphs.predicted}("]
        cells.append(_Cell(char, levels[at - first], at in answer))
        if answer and at == answer.stop - 1:
            cells.append(_Cell(")", 0, True))
    return [*cells, _Cell("…", 0, False)] if last < len(text) else cells


def _wrapped(cells: Sequence[_Cell], width: int) -> list[list[_Cell]]:
    """Lines of at most `width` cells, broken at spaces where there is one."""
    lines: list[list[_Cell]] = []
    line: list[_Cell] = []
    used, space = 0, -1
    for cell in cells:
        size = get_character_cell_size(cell.char)
        if used + size > width and line:
            if cell.char == " ":
                lines.append(line)
                line, used, space = [], 0, -1
                continue
            if space >= 0:
                lines.append(line[:space])
                line = line[space + 1 :]
            else:
                lines.append(line)
                line = []
            used, space = sum(get_character_cell_size(other.char) for other in line), -1
        if cell.char == " ":
            space = len(line)
        line.append(cell)
        used += size
    return [*lines, line] if line else lines


def _role(cell: _Cell) -> str:
    return "predicted" if cell.answer else "heading" if abs(cell.level) > LEVELS // 2 else "text"


def _mark(cell: _Cell, glyphs: Glyphs) -> ChartCell:
    size = get_character_cell_size(cell.char)
    if not cell.level:
        return " " * size, ""
    own = WEIGHT_GLYPHS[glyphs]
    char = (own.supports if cell.level > 0 else own.opposes)[abs(cell.level) - 1]
    return char * size, "level" if cell.level > 0 else "bad"


def beside(left: list[Strip], right: list[Strip], width: int, rows: int) -> list[Strip]:
    """`rows` lines with the strips of `left` in `width` cells and those of `right` next to them."""
    blank = Strip.blank(width)
    return [
        Strip(
            [
                *(left[row].adjust_cell_length(width) if row < len(left) else blank),
                Segment(" "),
                *(right[row] if row < len(right) else ()),
            ]
        )
        for row in range(rows)
    ]


def keys_strip(items: Sequence[tuple[str, str]], width: int, style: StyleOf) -> Strip:
    """Keys and what they do, as many as fit."""
    segments: list[Segment] = []
    room = width
    for keys, does in items:
        room -= cell_len(keys) + cell_len(does) + 3
        if room < 0:
            break
        segments += [Segment(f" {keys}", style("key")), Segment(f" {does} ", style("dim"))]
    return Strip(segments)


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f}%" if probability >= 0.1 else f"{100 * probability:.1f}%"
