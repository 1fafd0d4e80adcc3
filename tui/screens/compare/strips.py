"""What Compare shows around its table and in the rows of it, as lines and cells. Pure."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip

from tui.drawing.columns import Column, fit_text
from tui.drawing.format import value_text
from tui.drawing.frame import Glyphs
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf
from tui.model.verdict_words import verdict_words
from tui.screens.compare.model import Comparison, MetricRow, metric_rows, most_important
from tui.screens.compare.pair import LEFT, RIGHT, Pair
from tui.widgets.row_list import CellText, Row

COLUMNS = (
    Column("change", "", 1),
    Column("number", "#", 5, align="right"),
    Column("gain", "gain", 5, align="right"),
    Column("surer", "surer", 5, align="right"),
    Column("question", "question", 10, share=4),
    Column("expected", "expected", 9, share=2),
    Column("left", "left", 9, share=2),
    Column("right", "right", 9, share=2),
)
HEAD, DETAIL = 8, 3
NARROW = 60
"""Width below which the names of the metrics are short."""
CELL_LIMIT = 300


def head_strips(pair: Pair, found: Comparison, width: int, height: int, style: StyleOf, glyphs: Glyphs) -> list[Strip]:
    """The names of both sides, their metrics where `height` has room for them, and how many examples changed."""
    if height < HEAD - 1:
        return [_names(pair, 0, max(1, (width - 4) // 2), style, glyphs), _counts(pair, found, style)]
    if width < NARROW:
        label, wide = 7, max(4, (width - 18) // 2)
    else:
        label, wide = 16, max(12, min(30, (width - 42) // 2))
    rows = most_important(metric_rows(found.left.metrics, found.right.metrics), height - 2)
    metrics = [_metric(row, label, wide, style) for row in rows]
    return [_names(pair, label, wide, style, glyphs), *metrics, _counts(pair, found, style)]


def _names(pair: Pair, label: int, wide: int, style: StyleOf, glyphs: Glyphs) -> Strip:
    """What stands on the sides, each name `wide` cells wide, after `label` cells."""
    segments = [Segment(" " * label)]
    for side in (LEFT, RIGHT):
        active = side == pair.active
        name = f"{glyphs.pointer if active else ' '} {plain(pair.name(side), 200)}"
        segments.append(Segment(fit_text(name, wide, "right"), style("cursor" if active else "heading")))
        segments.append(Segment("  "))
    if label:
        segments.append(Segment("change", style("heading")))
    return Strip(segments)


def _metric(row: MetricRow, label: int, wide: int, style: StyleOf) -> Strip:
    change = row.difference
    sign = "" if change is None else f"{change:+.3f}" if abs(change) < 10 else f"{change:+.1f}"
    verdict, role = {-1: ("worse", "bad"), 0: ("same", "dim"), 1: ("better", "good")}[row.better]
    name = row.name if label > len(row.name) else row.name.partition(" ")[0]
    return Strip(
        [
            Segment(f" {name}".ljust(label)),
            Segment(f"{_number(row.left):>{wide}}  "),
            Segment(f"{_number(row.right):>{wide}}  "),
            Segment(f"{sign:>7} "),
            Segment(verdict, style(role)),
        ]
    )


def _counts(pair: Pair, found: Comparison, style: StyleOf) -> Strip:
    segments = [Segment(f" {len(found.left.right)} examples", style("text"))]
    if others := pair.other_labels:
        segments.append(Segment(f", {others} {'label differs' if others == 1 else 'labels differ'}", style("warn")))
    if unscored := pair.not_scored:
        segments.append(Segment(f", {unscored:,} others are not scored on both sides", style("warn")))
    segments.append(Segment(": ", style("text")))
    for name, count in found.counts().items():
        if name != "all":
            chosen = style("cursor" if name == pair.show else "text")
            segments += [Segment(f"{count} {name}", chosen), Segment("  ")]
    if pair.show == "all":
        segments.append(Segment("all shown", style("cursor")))
    left_out = pair.left_out()
    if left_out:
        segments.append(Segment(f"  {left_out} are in one run only", style("warn")))
    return Strip(segments)


def detail_strips(pair: Pair, width: int, style: StyleOf) -> list[Strip]:
    """The example under the cursor in full: question and expected answer, and what either side answered."""
    data, example = pair.data(RIGHT), pair.example(pair.cursor, RIGHT)
    head = f" {plain(data.question(example), CELL_LIMIT)}  expected {data.expected_span(example)}: "
    label = plain(data.expected(example), CELL_LIMIT)
    viewer = pair.viewer(RIGHT)
    if viewer is not None and (judged := verdict_words(viewer.verdict(example))):
        label += f"  (label {plain(judged)})"
    if pair.has_other_label(pair.cursor):
        label += f"  (left: {plain(pair.data(LEFT).expected(pair.example(pair.cursor, LEFT)), CELL_LIMIT)})"
    words = fit_text(head + label, width)
    lines = [Strip([Segment(words, style("text"))])]
    for side, label in ((LEFT, "left "), (RIGHT, "right")):
        data, columns, example = pair.data(side), pair.columns(side), pair.example(pair.cursor, side)
        answer = plain(data.answered(example, columns), CELL_LIMIT)
        words = (
            f" {label} {data.predicted_span(example, columns)}: {answer}  "
            f"(F1 {columns.f1[example]:.2f}, confidence {columns.confidence[example]:.2f})"
        )
        lines.append(Strip([Segment(fit_text(words, width), style("both" if columns.right[example] else "predicted"))]))
    return lines


def example_row(pair: Pair, found: Comparison, place: int, glyphs: Glyphs) -> Row:
    """The cells of row `place` of the table."""
    number = int(pair.rows[place])
    data, there = pair.data(RIGHT), pair.example(place, RIGHT)
    change = CellText("")
    if found.learned[number]:
        change = CellText(glyphs.learned, "good")
    elif found.forgotten[number]:
        change = CellText(glyphs.forgotten, "bad")
    gain = float(found.gain[number])
    surer = float(found.right.confidence[number] - found.left.confidence[number])
    return {
        "change": change,
        "number": CellText(str(there + 1), "dim"),
        "gain": CellText(f"{gain:+.2f}", "good" if gain > 0 else "bad" if gain < 0 else "dim"),
        "surer": CellText(f"{surer:+.2f}", "text"),
        "question": CellText(plain(data.question(there), CELL_LIMIT)),
        "expected": CellText(
            plain(data.expected(there), CELL_LIMIT), "warn" if pair.has_other_label(place) else "true"
        ),
        "left": _answer(pair, LEFT, place),
        "right": _answer(pair, RIGHT, place),
    }


def _answer(pair: Pair, side: int, place: int) -> CellText:
    example, columns = pair.example(place, side), pair.columns(side)
    answer = plain(pair.data(side).answered(example, columns), CELL_LIMIT)
    return CellText(answer, "both" if columns.right[example] else "predicted")


def _number(value: float | None) -> str:
    return value_text(value, "plain") if value is None or abs(value) >= 1.5 else f"{value:.3f}"
