"""Spans: every example at one snapshot, as columns of a chart and as rows of a table, with one cursor for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.errors import UserError
from engine.rundir.eval_set import EvalSet
from engine.storage.tensors import Tensors
from tui.drawing.frame import glyphs_of
from tui.drawing.messages import message_lines
from tui.model.predictions import SpanColumns, SpanData
from tui.screens.base import ScreenView
from tui.screens.spans import strips as span_strips
from tui.screens.spans.grid import Page, page_of
from tui.screens.spans.model import SpanOrder
from tui.screens.spans.rows import COLUMNS, Changes, detail_strips, example_row, words_strip
from tui.screens.spans.strips import GUTTER, SpanChart, chart_strips
from tui.widgets.picture import Picture
from tui.widgets.row_list import Row, RowList

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
Group = tuple[str, NDArray[np.int32]]
"""Some of the examples by their numbers, with a name for them."""
SORT_COLUMN = {"number": "data order", "expected_span": "true start", "iou": "IoU", "confidence": "confidence"}


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
        self._changes: Changes | None = None
        self._trouble = ""
        self._group: Group | None = None

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
        if state.group is not self._group:
            self._group = state.group
            self._apply()

    def _apply(self) -> None:
        """Work order and filter out at the snapshot in view."""
        viewer = self.tui.viewer
        if self._data is None or viewer is None or self._now is None:
            return
        position = self.tui.view_state.snapshot
        matches = self._data.find(self._order.text)
        self._order.group = self._group[0] if self._group else ""
        if self._group is not None:
            chosen = np.isin(np.arange(self._order.total), self._group[1])
            matches = chosen if matches is None else matches & chosen
        if self._max_span is not None:
            short = (self._data.truth.size < self._max_span) & (self._data.predicted(self._now).size < self._max_span)
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
            lines = message_lines(self._trouble or self._waiting(), width, height)
            return [Strip([Segment(line, self.style_of("dim"))]) for line in lines]
        order = self._order
        page, each = self._page(width)
        rows = order.rows[page.first : page.last]
        if not len(rows):
            return [Strip([Segment("no example fits this filter", self.style_of("dim"))])]
        chart = SpanChart(
            self._data.truth_of(rows),
            self._data.predicted_of(self._now, rows),
            longest=self._data.longest_of(rows),
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
        page, _ = self._page(chart.size.width)
        glyphs = glyphs_of(self.tui.ascii_only)
        apart = self._now.apart(self._data.impossible) if self._data else ""
        sample = self.tui.viewer.sample_text(self.tui.view_state.snapshot) if self.tui.viewer else ""
        words = words_strip(
            self._order, page, self._max_span, apart, self._changes, self.style_of, glyphs, sample=sample
        )
        return [words]

    def _draw_detail(self, width: int, height: int) -> Sequence[Strip]:
        if self._now is None or self._data is None or not len(self._order.rows):
            return []
        allow_null = self._source is not None and self._source.allow_null
        example = self._order.example
        verdict = self.tui.viewer.verdict(example) if self.tui.viewer else None
        return detail_strips(
            self._data, self._now, example, width, self.style_of, allow_null=allow_null, verdict=verdict
        )

    def _row(self, place: int) -> Row:
        if self._data is None or self._now is None or self._changes is None or place >= len(self._order.rows):
            return {}
        example = int(self._order.rows[place])
        verdict = self.tui.viewer.verdict(example) if self.tui.viewer else None
        return example_row(self._data, self._now, self._changes, example, glyphs_of(self.tui.ascii_only), verdict)

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
        if self._order.next_filter() == "scored" and self._now is not None and self._now.scored.all():
            self._order.next_filter()
        self._apply()

    def do_refilter(self) -> None:
        """Take order and filter at the snapshot in view."""
        self._apply()

    def do_all_examples(self) -> None:
        """Show all examples again after a group of them."""
        if self._group is not None:
            self.tui.view_state.group = None
            self.tui.changed()

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
