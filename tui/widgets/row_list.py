"""A table of any number of rows that draws only the rows in view, and of those only the ones that changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBarRender
from textual.strip import Strip

from tui.drawing.columns import GAP, Column, fit_columns, fit_text
from tui.widgets.strip_view import ascii_guard, changed_stretches, guarded


@dataclass(frozen=True)
class CellText:
    """What a cell says, in safe text, and the role that gives its style."""

    text: str
    role: str = "text"


MARKER = "›"
"""Stands before the row under the cursor."""
Row = dict[str, CellText]
"""Cells by column name; a column without a cell is blank."""


class AsciiBar(ScrollBarRender):
    """A scroll bar of whole cells, for terminals that have no block characters."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8


class RowList(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows under a heading line, with one cursor. `cells` is asked for the rows in view alone.

    The widget never keeps rows: `renew` after a change of data draws what differs from what is on the screen.
    """

    DEFAULT_CSS = """
    RowList { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    class Moved(Message):
        """The cursor went to `row` by key or mouse."""

        def __init__(self, rows: RowList, row: int) -> None:
            super().__init__()
            self.rows, self.row = rows, row

        @property
        def control(self) -> RowList:
            return self.rows

    class Opened(Moved):
        """Enter, or a click on the row under the cursor."""

    class HeadingPressed(Message):
        """A click on a column's title."""

        def __init__(self, rows: RowList, column: str) -> None:
            super().__init__()
            self.rows, self.column = rows, column

        @property
        def control(self) -> RowList:
            return self.rows

    def __init__(
        self,
        columns: Sequence[Column],
        cells: Callable[[int], Row],
        style: Callable[[str], Style],
        *,
        empty: str = "",
        id: str | None = None,
    ) -> None:
        """`cells(row)` says what a row holds, `style(role)` how a role looks, `empty` stands where no row is."""
        super().__init__(id=id)
        self.columns, self.cells, self.style_of = columns, cells, style
        self.empty = empty
        self.count = 0
        self.cursor = 0
        self._drawn: dict[int, Strip] = {}

    def fitted(self) -> list[tuple[Column, int]]:
        """The columns in view and their widths, right of the cursor's marker."""
        return fit_columns(self.columns, max(0, self.scrollable_content_region.width - len(MARKER) - GAP))

    def renew(self, count: int, cursor: int) -> None:
        """Take changed data: there are `count` rows now and the cursor is on `cursor`."""
        self.cursor = cursor
        if count != self.count:
            self.count = count
            self.virtual_size = Size(self.size.width, count + 1)
        if not self._follow_cursor():
            self._refresh_changed(range(self.size.height))

    def move(self, row: int) -> None:
        """Put the cursor on `row`, or the nearest there is, and announce it."""
        row = max(0, min(row, self.count - 1))
        if self.count and row != self.cursor:
            self.point(row)
            self.post_message(self.Moved(self, row))

    def point(self, row: int) -> None:
        """Put the cursor on `row` without announcing it."""
        old, self.cursor = self.cursor, row
        if not self._follow_cursor():
            top = self.scroll_offset.y
            self._refresh_changed([1 + old - top, 1 + row - top])

    @property
    def rows_in_view(self) -> int:
        return max(1, self.size.height - 1)

    def _follow_cursor(self) -> bool:
        """Scroll so far that the cursor is in view. Returns whether it scrolled, and so redrew everything."""
        top, room = self.scroll_offset.y, self.rows_in_view
        if top <= self.cursor < top + room:
            return False
        target = self.cursor if self.cursor < top else self.cursor - room + 1
        self.set_reactive(ScrollView.scroll_target_y, target)
        self.scroll_to(y=target, animate=False, force=True, immediate=True)
        return self.scroll_offset.y != top

    def _refresh_changed(self, lines: Sequence[int]) -> None:
        """Send the stretches of lines that are not as they were drawn."""
        for y in lines:
            if not 0 <= y < self.size.height:
                continue
            before, after = self._drawn.get(y), self._line(y)
            self._drawn[y] = after
            for lo, hi in [(0, self.size.width)] if before is None else changed_stretches(before, after):
                self.refresh(Region(lo, y, hi - lo, 1))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines inside `crop`, as they are: Textual's own way would paint a background behind every cell."""
        lines = []
        for y in range(crop.y, crop.bottom):
            self._drawn[y] = self._line(y)
            lines.append(self._drawn[y])
        if crop.column_span == (0, self.size.width):
            return lines
        return [line.crop(crop.x, crop.right) for line in lines]

    def on_mount(self) -> None:
        if ascii_guard(self) is not None:
            self.vertical_scrollbar.renderer = AsciiBar  # type: ignore[misc]  # Textual's own way to set it for one bar

    def on_resize(self) -> None:
        self._drawn.clear()
        self._follow_cursor()

    def _line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        return guarded(self._words(y, width).adjust_cell_length(width), self)

    def _words(self, y: int, width: int) -> Strip:
        if y == 0:
            return self._heading()
        row = y - 1 + self.scroll_offset.y
        if row < self.count:
            return self._row(row)
        if self.count == 0 and y == 1:
            return Strip([Segment(fit_text("  " + self.empty, width), self.style_of("dim"))])
        return Strip.blank(width)

    def _heading(self) -> Strip:
        style = self.style_of("heading")
        segments = [Segment(" " * (len(MARKER) + GAP), style)]
        for column, width in self.fitted():
            segments += [Segment(fit_text(column.title, width, column.align), style)]
            segments += [Segment(" " * GAP, style)]
        return Strip(segments)

    def _row(self, row: int) -> Strip:
        here = row == self.cursor
        pointed = self.style_of("cursor") if here else None
        cells = self.cells(row)
        segments = [Segment((MARKER if here else " " * len(MARKER)) + " " * GAP, pointed)]
        blank = CellText("")
        for column, width in self.fitted():
            cell = cells.get(column.name, blank)
            text = fit_text(cell.text, width, column.align)
            segments += [Segment(text, pointed or self.style_of(cell.role)), Segment(" " * GAP, pointed)]
        return Strip(segments)

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            x = len(MARKER) + GAP
            for column, width in self.fitted():
                if x <= event.x < x + width:
                    self.post_message(self.HeadingPressed(self, column.name))
                x += width + GAP
            return
        row = event.y - 1 + self.scroll_offset.y
        if row < self.count:
            if row == self.cursor:
                self.post_message(self.Opened(self, row))
            self.move(row)

    def open_row(self) -> None:
        """Announce that the row under the cursor was chosen."""
        if self.count:
            self.post_message(self.Opened(self, self.cursor))
