"""Spans: every example at one snapshot, as columns of a chart and as rows of a table, with one cursor for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.errors import UserError
from engine.rundir.eval_set import EvalSet
from engine.storage.tensors import Tensors
from tui.drawing.columns import Column, fit_text
from tui.drawing.frame import glyphs_of
from tui.drawing.text import plain
from tui.model.predictions import SpanColumns, SpanData, span_text
from tui.screens.base import ScreenView
from tui.screens.spans import strips as span_strips
from tui.screens.spans.grid import Page, page_of
from tui.screens.spans.model import Bools, SpanOrder
from tui.screens.spans.strips import GUTTER, SpanChart, chart_strips
from tui.widgets.picture import Picture
from tui.widgets.row_list import CellText, Row, RowList

MAX_SPAN = 100
"""The notebook draws no span of this many tokens or more."""
TALL = 34
"""Height from which all three charts are drawn at first."""
WIDTHS = (0, 4, 1)
"""Columns for an example; 0 takes two, or more where there is room for all examples."""
Charts = Literal["overlaid", "all three", "predicted", "expected"]
CHARTS: tuple[Charts, ...] = ("overlaid", "all three", "predicted", "expected")
VIEWS: dict[Charts, list[span_strips.View]] = {
    "overlaid": ["overlaid"],
    "all three": ["predicted", "true", "overlaid"],
    "predicted": ["predicted"],
    "expected": ["true"],
}
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
SORT_COLUMN = {"number": "data order", "expected_span": "true start", "iou": "IoU", "confidence": "confidence"}
CELL_LIMIT = 300


class SpansScreen(ScreenView):
    """Chart, what it shows in words, table, and the example under the cursor in full."""

    DEFAULT_CSS = """
    SpansScreen { layout: vertical; }
    SpansScreen #span-chart { height: 8; }
    SpansScreen #span-words { height: 1; }
    SpansScreen #span-detail { height: 2; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._charts: Charts | None = None
        self._wished = WIDTHS[0]
        self._max_span: int | None = None
        self._source: EvalSet | None = None
        self._data: SpanData | None = None
        self._order = SpanOrder(0)
        self._now: SpanColumns | None = None
        self._changes: tuple[Bools, Bools] | None = None
        self._trouble = ""

    def compose(self) -> ComposeResult:
        yield Picture(self._draw_chart, id="span-chart")
        yield Picture(self._draw_words, id="span-words")
        yield RowList(COLUMNS, self._row, self.style_of, id="span-table")
        yield Picture(self._draw_detail, id="span-detail")

    @property
    def table(self) -> RowList:
        return self.query_one("#span-table", RowList)

    @property
    def order(self) -> SpanOrder:
        """Which examples are shown, in what order, and the cursor."""
        return self._order

    # ------------------------------------------------------------------ data

    def renew(self) -> None:
        self._load()
        if not self.is_mounted:
            return
        self.table.empty = "nothing fits this filter; t shows others, / searches" if self._now else ""
        self.table.renew(len(self._order.rows), self._order.place)
        for picture in self.query(Picture):
            picture.redraw()

    def enter(self) -> None:
        self._resize()
        self.renew()

    def _load(self) -> None:
        """Take the snapshot in view, and the example that other screens chose."""
        viewer, state = self.tui.viewer, self.tui.view_state
        examples = viewer.eval_set if viewer else None
        if viewer is None or examples is None or not viewer.snapshots:
            self._now = self._changes = self._source = self._data = None
            self._order = SpanOrder(0)
            return
        try:
            if examples is not self._source or self._data is None:
                self._source = examples
                self._data = SpanData(examples, Tensors(viewer.run.features_file), viewer.snapshot)
                self._order = SpanOrder(self._data.count)
            position = min(state.snapshot, len(viewer.snapshots) - 1)
            judged = self._data.judged(position, position - 1 if position else None)
            self._now = self._data.at(position)
            self._changes = judged.learned, judged.forgotten
            self._trouble = ""
        except (OSError, UserError) as error:
            self._now = self._changes = None
            self._trouble = f"this snapshot can't be read: {error}"
            return
        if self._order.place_of(state.example) >= 0:
            self._order.example = state.example

    def _apply(self) -> None:
        """Work order and filter out at the snapshot in view."""
        viewer = self.tui.viewer
        if self._data is None or viewer is None or self._now is None:
            return
        position = self.tui.view_state.snapshot
        matches = self._data.find(self._order.text)
        if self._max_span is not None:
            short = (self._data.truth.size < self._max_span) & (self._now.predicted.size < self._max_span)
            matches = short if matches is None else matches & short
        judged = self._data.judged(position, position - 1 if position else None)
        self._order.apply(judged, matches, viewer.snapshots[position].label)
        self._chosen()

    def _chosen(self) -> None:
        """The cursor stands on another example, perhaps: the other screens follow."""
        if len(self._order.rows) and self._order.example != self.tui.view_state.example:
            self.tui.go_to_example(self._order.example)
        else:
            self.tui.changed()

    # ------------------------------------------------------------------ pictures

    def _draw_chart(self, width: int, height: int) -> Sequence[Strip]:
        if self._now is None or self._data is None:
            return [Strip([Segment(plain(self._trouble or self._waiting()), self.style_of("dim"))])]
        order = self._order
        page, each = self._page(width)
        rows = order.rows[page.first : page.last]
        if not len(rows):
            return [Strip([Segment("no example fits this filter", self.style_of("dim"))])]
        chart = SpanChart(
            self._data.truth.take(rows),
            self._now.predicted.take(rows),
            longest=int(self._data.grid.length[rows].max()),
            each=each,
            cursor=order.place - page.first,
            none_row=bool(self._source and self._source.allow_null),
        )
        glyphs = glyphs_of(self.tui.ascii_only)
        return chart_strips(chart, VIEWS[self._shown_charts], width, height, self.style_of, glyphs)

    def _page(self, width: int) -> tuple[Page, int]:
        """The examples that a chart of `width` cells shows, and the columns each of them has."""
        order, columns = self._order, width - GUTTER
        each = self._wished or max(2, min(4, columns // max(1, len(order.rows))))
        return page_of(order.place, len(order.rows), columns, each), each

    def _waiting(self) -> str:
        if self.tui.viewer is None:
            return "no run is open: 6 lists the runs"
        return "waiting for the first snapshot: the answers of the untrained model"

    def _draw_words(self, width: int, height: int) -> Sequence[Strip]:
        if self._now is None or self._changes is None:
            return []
        chart = self.query_one("#span-chart", Picture)
        order = self._order
        page, _ = self._page(chart.size.width)
        glyphs = glyphs_of(self.tui.ascii_only)
        learned, forgotten = (int(flags.sum()) for flags in self._changes)
        segments = [Segment(plain(f" {order.describe()}"), self.style_of("heading"))]
        if self._max_span is not None:
            segments.append(Segment(f", spans under {self._max_span} tokens", self.style_of("text")))
        if page.count < len(order.rows):
            segments.append(Segment(f"  chart: rows {page.first + 1} to {page.last}", self.style_of("dim")))
        if (apart := self._now.apart(self._data.impossible)) if self._data else "":
            segments.append(Segment(f"  {apart}", self.style_of("text")))
        segments.append(Segment(f"  {glyphs.learned} {learned} learned", self.style_of("good")))
        segments.append(Segment(f"  {glyphs.forgotten} {forgotten} forgotten", self.style_of("bad")))
        return [Strip(segments)]

    def _draw_detail(self, width: int, height: int) -> Sequence[Strip]:
        if self._now is None or self._data is None or not len(self._order.rows):
            return []
        data, now, example = self._data, self._now, self._order.example
        style = self.style_of
        half = max(0, (width - 4) // 2)
        expected = f"expected {span_text(data.truth, example)}: {plain(data.expected(example), CELL_LIMIT)}"
        answered = f"predicted {span_text(now.predicted, example)}: {plain(data.answered(example, now), CELL_LIMIT)}"
        if self._source is not None and self._source.allow_null:
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

    def _row(self, place: int) -> Row:
        data, now, changes = self._data, self._now, self._changes
        if data is None or now is None or changes is None or place >= len(self._order.rows):
            return {}
        example = int(self._order.rows[place])
        glyphs = glyphs_of(self.tui.ascii_only)
        start, end = bool(now.start_correct[example]), bool(now.end_correct[example])
        right = bool(now.right[example])
        verdict = {True: glyphs.right, False: glyphs.wrong}
        change = CellText("")
        if changes[0][example]:
            change = CellText(glyphs.learned, "good")
        elif changes[1][example]:
            change = CellText(glyphs.forgotten, "bad")
        return {
            "change": change,
            "number": CellText(str(example + 1), "dim"),
            "ident": CellText(plain(data.ident(example), CELL_LIMIT), "dim"),
            "correct": CellText(
                f"{verdict[start]} {verdict[end]}",
                "good" if start and end else "text" if start or end else "bad",
            ),
            "iou": CellText(f"{now.iou[example]:.2f}"),
            "em": CellText(verdict[right], "good" if right else "bad"),
            "f1": CellText(f"{now.f1[example]:.2f}"),
            "confidence": CellText(f"{now.confidence[example]:.2f}"),
            "question": CellText(plain(data.question(example), CELL_LIMIT)),
            "expected_span": CellText(span_text(data.truth, example), "dim"),
            "expected": CellText(plain(data.expected(example), CELL_LIMIT), "true"),
            "predicted_span": CellText(span_text(now.predicted, example), "dim"),
            "predicted": CellText(plain(data.answered(example, now), CELL_LIMIT), "both" if right else "predicted"),
        }

    # ------------------------------------------------------------------ layout

    @property
    def _shown_charts(self) -> Charts:
        return self._charts or ("all three" if self.size.height >= TALL else "overlaid")

    def on_resize(self, event: events.Resize) -> None:
        self._resize()
        self.call_after_refresh(self.renew)

    def _resize(self) -> None:
        """The chart takes about two fifths, and with three charts half of the height."""
        height = self.size.height
        charts = max(7, height // 2) if self._shown_charts == "all three" else max(6, min(16, height * 2 // 5))
        self.query_one("#span-chart", Picture).styles.height = max(0, min(charts, height - 7))

    # ------------------------------------------------------------------ commands

    def do_row_down(self) -> None:
        self._go(self._order.place + 1)

    def do_row_up(self) -> None:
        self._go(self._order.place - 1)

    def do_page_down(self) -> None:
        self._go(self._order.place + self.table.rows_in_view)

    def do_page_up(self) -> None:
        self._go(self._order.place - self.table.rows_in_view)

    def _go(self, place: int) -> None:
        if self._order.move_to(place):
            self._chosen()

    def do_open(self) -> None:
        """Show the example under the cursor in Journey."""
        if len(self._order.rows):
            self._chosen()
            self.tui.show_view("journey")

    def do_sort(self) -> None:
        self._order.next_sort()
        self._apply()

    def do_filter(self) -> None:
        self._order.next_filter()
        self._apply()

    def do_refilter(self) -> None:
        """Take order and filter at the snapshot in view."""
        self._apply()

    def do_charts(self) -> None:
        self._charts = CHARTS[(CHARTS.index(self._shown_charts) + 1) % len(CHARTS)]
        self._resize()
        self.call_after_refresh(self.renew)

    def do_width(self) -> None:
        self._wished = WIDTHS[(WIDTHS.index(self._wished) + 1) % len(WIDTHS)]
        self.renew()

    def do_max_span(self) -> None:
        """Leave out spans as long as the notebook leaves out, or take them in again."""
        self._max_span = MAX_SPAN if self._max_span is None else None
        self._apply()

    def do_search_text(self, text: str) -> None:
        self._order.text = text
        self._apply()

    # ------------------------------------------------------------------ mouse

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        self._go(event.row)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        self.do_open()

    def on_row_list_heading_pressed(self, event: RowList.HeadingPressed) -> None:
        for sort in ("data order", "true start", "IoU", "confidence"):
            if SORT_COLUMN.get(event.column) == sort:
                self._order.sort = sort
                self._apply()

    def on_picture_pressed(self, event: Picture.Pressed) -> None:
        if event.picture.id != "span-chart" or event.x < GUTTER or self._now is None:
            return
        page, each = self._page(event.picture.size.width)
        place = page.first + (event.x - GUTTER) // each
        if place < page.last:
            self._go(place)
