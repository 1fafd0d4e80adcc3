"""The words around the charts of Journey: question, chosen token, answers and passage, as lines. Pure."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip

from engine.data.segments import CONTEXT
from engine.insight.metrics import prepare_golds
from engine.insight.spans import Candidate, null_odds
from tui.drawing.frame import Glyphs
from tui.drawing.passage import answer_marks, line_strips, passage_lines
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf
from tui.drawing.token_words import token_strip
from tui.model.verdict_words import verdict_words
from tui.screens.journey.model import Scene


def question_strip(scene: Scene, number: int, count: int, style: StyleOf) -> Strip:
    """The question of example `number` of `count`, counted from 0."""
    segments = [Segment(f" {number + 1}/{count} ", style("dim"))]
    if scene.windows > 1:
        segments.append(Segment(f"window {scene.window + 1}/{scene.windows} ", style("warn")))
    if scene.verdict is not None:
        segments.append(Segment(f"label {plain(verdict_words(scene.verdict, 20))} ", style("warn")))
    segments.append(Segment(plain(scene.example.question, 500), style("heading")))
    segments.append(Segment(f"  {plain(scene.example.id, 60)}", style("dim")))
    return Strip(segments)


def chosen_token_strip(scene: Scene, token: int, style: StyleOf, span_from: int = -1) -> Strip:
    """Scores, probabilities and ranks of the chosen token; which keys choose one, where none is. While an answer is
    chosen, from token `span_from` on, the answer."""
    if 0 <= span_from < len(scene.tokens) and 0 <= token < len(scene.tokens):
        start, end = scene.span(span_from, token)
        words = f'"{plain(scene.example.context[start:end], 200)}"' if start >= 0 else "not in the passage"
        return Strip(
            [
                Segment(" the right answer: ", style("warn")),
                Segment(words, style("cursor")),
                Segment("  S takes it, escape does not", style("dim")),
            ]
        )
    if scene.predicted is None:
        return Strip([])
    hint = "[ and ] choose a token, m jumps to the expected one"
    return token_strip(scene.texts, scene.start, scene.end, scene.choosable, token, style, hint=hint)


def answer_strips(scene: Scene, width: int, rows: int, style: StyleOf, glyphs: Glyphs) -> list[Strip]:
    """The expected answer, the predicted one, and what else the model thought of."""
    golds = [answer.text for answer in scene.example.answers]
    words = " | ".join(dict.fromkeys(plain(gold, 200) for gold in golds)) or "no answer in the passage"
    lines = [Strip([Segment(f" {glyphs.expected} expected  ", style("expected")), Segment(words, style("text"))])]
    if scene.verdict is not None:
        lines[0] = Strip([*lines[0], Segment(f"  {plain(verdict_words(scene.verdict, 200))}", style("warn"))])
    if (odds := null_odds(scene.candidates)) is not None:
        lines[0] = Strip([*lines[0], Segment(f"   null odds {odds:+.2f}", style("dim"))])
    if scene.predicted is None:
        words = "not scored at this snapshot"
        lines.append(Strip([Segment(f" {glyphs.predicted} predicted ", style("dim")), Segment(words, style("dim"))]))
    prepared = prepare_golds([golds], v2=scene.example.is_impossible, by_character=scene.by_character)
    for number, candidate in enumerate(scene.candidates[: max(0, rows - 1)], 1):
        text = _answer_text(scene, candidate)
        right = prepared.score([text])[0][0] == 1.0
        label = f" {glyphs.predicted} predicted " if number == 1 else f" {number:>11} "
        segments = [
            Segment(label, style("predicted" if number == 1 else "dim")),
            Segment(glyphs.right if right else " ", style("good")),
            Segment(f"{100 * candidate.probability:5.1f} %", style("text" if number == 1 else "dim")),
            Segment(f" {candidate.score:7.2f}  ", style("dim")),
            Segment(plain(text, 300) or "(no answer)", style("heading" if number == 1 else "text")),
        ]
        lines.append(Strip(segments))
    return [line.crop(0, width) for line in lines[:rows]]


def _answer_text(scene: Scene, candidate: Candidate) -> str:
    return scene.example.context[candidate.char_start : candidate.char_end] if candidate.start >= 0 else ""


def passage_strips(
    scene: Scene,
    width: int,
    rows: int,
    token: int,
    style: StyleOf,
    glyphs: Glyphs,
    *,
    first: int | None,
    span_from: int = -1,
) -> tuple[list[Strip], int]:
    """The passage with its answers marked and the chosen token, or the tokens chosen from `span_from` on; and the code
    point at which it begins, at `first` where that shows what must be seen."""
    cursor = None
    if 0 <= span_from < len(scene.tokens) and 0 <= token < len(scene.tokens):
        start, end = scene.span(span_from, token)
        cursor = (start, end) if start >= 0 else None
    elif 0 <= token < len(scene.tokens) and scene.tokens.segment[token] == CONTEXT:
        cursor = (int(scene.tokens.char_start[token]), int(scene.tokens.char_end[token]))
    marks = answer_marks(scene.expected_chars, scene.predicted_chars)
    lines, begins = passage_lines(
        scene.example.context, width - 2, rows, marks, cursor=cursor, first=first, glyphs=glyphs
    )
    return line_strips(lines, style), begins


def beside(passage: list[Strip], answers: list[Strip], left: int) -> list[Strip]:
    """The passage in `left` cells, the answers right of it."""
    count = max(len(passage), len(answers))
    passage = passage + [Strip.blank(left)] * (count - len(passage))
    answers = answers + [Strip.blank(0)] * (count - len(answers))
    return [Strip([*p.adjust_cell_length(left), Segment(" "), *a]) for p, a in zip(passage, answers, strict=True)]
