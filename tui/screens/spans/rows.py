"""What Spans tells in words: the rows of its table, what is listed, and the example under the cursor. Pure."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip

from engine.rundir.verdicts import Verdict
from tui.drawing.columns import Column, fit_text
from tui.drawing.frame import Glyphs
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf
from tui.model.predictions import SpanColumns, SpanData
from tui.model.verdict_words import verdict_words
from tui.screens.spans.grid import Page
from tui.screens.spans.model import Bools, SpanOrder
from tui.widgets.row_list import CellText, Row

COLUMNS = (
    Column("change", "", 1),
    Column("number", "#", 5, align="right"),
    Column("ident", "id", 10, share=1, from_width=160),
    Column("correct", "s e", 3),
    Column("iou", "IoU", 4, align="right"),
    Column("em", "EM", 2, align="right"),
    Column("f1", "F1", 4, align="right"),
    Column("confidence", "conf", 4, align="right"),
    Column("question", "question", 10, share=4),
    Column("expected_span", "tokens", 7, align="right", from_width=110),
    Column("expected", "expected", 9, share=2),
    Column("predicted_span", "tokens", 7, align="right", from_width=110),
    Column("predicted", "predicted", 9, share=2),
)
CELL_LIMIT = 300
UNKNOWN = CellText("-", "dim")
"""The cell of an example that is not scored at the snapshot."""
Changes = tuple[Bools, Bools]
"""Which examples were learned and which forgotten since the snapshot before."""


def example_row(
    data: SpanData, now: SpanColumns, changes: Changes, example: int, glyphs: Glyphs, verdict: Verdict | None = None
) -> Row:
    """The cells of an example at the snapshot in view, with the user's verdict on its label."""
    start, end = bool(now.start_correct[example]), bool(now.end_correct[example])
    right = bool(now.right[example])
    sign = {True: glyphs.right, False: glyphs.wrong}
    judged = verdict_words(verdict, CELL_LIMIT)
    scored = bool(now.scored[example])
    learned, forgotten = changes
    change = CellText("")
    if learned[example]:
        change = CellText(glyphs.learned, "good")
    elif forgotten[example]:
        change = CellText(glyphs.forgotten, "bad")
    return {
        "change": change,
        "number": CellText(str(example + 1), "dim"),
        "ident": CellText(plain(data.ident(example), CELL_LIMIT), "dim"),
        "correct": CellText(
            f"{sign[start]} {sign[end]}",
            "good" if start and end else "text" if start or end else "bad",
        )
        if scored
        else UNKNOWN,
        "iou": CellText(f"{now.iou[example]:.2f}") if scored else UNKNOWN,
        "em": CellText(sign[right], "good" if right else "bad") if scored else UNKNOWN,
        "f1": CellText(f"{now.f1[example]:.2f}") if scored else UNKNOWN,
        "confidence": CellText(f"{now.confidence[example]:.2f}") if scored else UNKNOWN,
        "question": CellText(plain(data.question(example), CELL_LIMIT)),
        "expected_span": CellText(data.expected_span(example), "dim"),
        "expected": CellText(plain(judged or data.expected(example), CELL_LIMIT), "warn" if judged else "true"),
        "predicted_span": CellText(data.predicted_span(example, now), "dim"),
        "predicted": CellText(
            plain(data.answered(example, now), CELL_LIMIT), "both" if right else "predicted" if scored else "dim"
        ),
    }


def words_strip(
    order: SpanOrder,
    page: Page,
    max_span: int | None,
    apart: str,
    changes: Changes,
    style: StyleOf,
    glyphs: Glyphs,
    *,
    sample: str = "",
) -> Strip:
    """What is listed and in which order, how many of all examples are scored where it is a `sample`, which of the list
    the chart shows, how well questions with and without an answer are answered (`apart`), and how much changed."""
    learned, forgotten = (int(flags.sum()) for flags in changes)
    segments = [Segment(plain(f" {order.describe()}"), style("heading"))]
    if sample:
        segments.append(Segment(f"  {sample}", style("warn")))
    if max_span is not None:
        segments.append(Segment(f", spans under {max_span} tokens", style("text")))
    if page.count < len(order.rows):
        segments.append(Segment(f"  chart: rows {page.first + 1} to {page.last}", style("dim")))
    if apart:
        segments.append(Segment(f"  {apart}", style("text")))
    segments.append(Segment(f"  {glyphs.learned} {learned} learned", style("good")))
    segments.append(Segment(f"  {glyphs.forgotten} {forgotten} forgotten", style("bad")))
    return Strip(segments)


def detail_strips(
    data: SpanData,
    now: SpanColumns,
    example: int,
    width: int,
    style: StyleOf,
    *,
    allow_null: bool,
    verdict: Verdict | None = None,
) -> list[Strip]:
    """An example in full: its question, and both answers with their tokens; with `allow_null` the odds of none; with
    the user's verdict on its label."""
    half = max(0, (width - 4) // 2)
    expected = f"expected {data.expected_span(example)}: {plain(data.expected(example), CELL_LIMIT)}"
    if verdict is not None:
        expected = f"label {plain(verdict_words(verdict, 40))}; {expected}"
    answered = f"predicted {data.predicted_span(example, now)}: {plain(data.answered(example, now), CELL_LIMIT)}"
    if allow_null and now.scored[example]:
        answered = f"null odds {now.null_odds[example]:+.2f}  {answered}"
    return [
        Strip([Segment(fit_text(f" {plain(data.question(example), 2 * CELL_LIMIT)}", width))]),
        Strip(
            [
                Segment(fit_text(f" {expected}", half), style("true")),
                Segment("  "),
                Segment(fit_text(answered, width - half - 2), style("predicted")),
            ]
        ),
    ]
