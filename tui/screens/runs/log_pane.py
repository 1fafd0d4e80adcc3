"""A run's engine.log: what the engine printed, its warnings and tracebacks; followed, and searched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.strip import Strip

from engine.rundir.layout import RunDir
from engine.rundir.log_tail import LogTail
from tui.drawing.columns import fit_text
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf
from tui.widgets.picture import Picture
from tui.widgets.row_list import MARKER
from tui.widgets.text_boxes import FormBox

POLL_SECONDS = 0.5
SIDEWAYS = 20
"""Characters by which a long line is moved at once."""
KEYS = "/ search  n N next, previous  f follow  arrows scroll  escape closes"


class LogPane(ModalScreen[None]):
    """The last lines of the log. It follows the log until one scrolls up; `f` or the last line follows it again."""

    AUTO_FOCUS = None
    DEFAULT_CSS = """
    LogPane { background: ansi_default; layout: vertical; }
    LogPane FormBox { dock: bottom; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,L", "close", "back"),
        Binding("down,j", "scroll(1)", "down"),
        Binding("up,k", "scroll(-1)", "up"),
        Binding("pagedown", "page(1)", "page down"),
        Binding("pageup", "page(-1)", "page up"),
        Binding("home,g", "first", "first line"),
        Binding("end,G,f", "follow", "follow"),
        Binding("right,l", "sideways(1)", "right"),
        Binding("left,h", "sideways(-1)", "left"),
        Binding("slash", "search", "search"),
        Binding("n", "match(1)", "next match"),
        Binding("N", "match(-1)", "previous match"),
    ]

    def __init__(self, run: RunDir, style: StyleOf) -> None:
        super().__init__()
        self._name, self._style = run.name, style
        self._tail = LogTail(run.engine_log)
        self._top = 0
        """Number of the uppermost line, as the log's tail counts them."""
        self._follows = True
        self._column = 0
        self._wanted = ""
        self._match = -1
        self._polling = False

    def compose(self) -> ComposeResult:
        yield Picture(self._draw, id="log")
        yield FormBox(id="log-search", placeholder="search")

    def on_mount(self) -> None:
        self.set_interval(POLL_SECONDS, self._poll)
        self.run_worker(self._poll(), exclusive=False)

    async def _poll(self) -> None:
        if self._polling:
            return
        self._polling = True
        try:
            if await asyncio.to_thread(self._tail.poll):
                self._redraw()
        finally:
            self._polling = False

    def _redraw(self) -> None:
        self.query_one(Picture).redraw()

    # ------------------------------------------------------------------ picture

    @property
    def _rows(self) -> int:
        return max(1, self.query_one(Picture).size.height - 2)

    def _last_top(self) -> int:
        """The uppermost line where the last one is seen."""
        tail = self._tail
        return max(tail.first, tail.first + len(tail.lines) - self._rows)

    def _draw(self, width: int, height: int) -> Sequence[Strip]:
        tail, style = self._tail, self._style
        top = self._last_top() if self._follows else max(tail.first, min(self._top, self._last_top()))
        self._top = top
        strips = [Strip([Segment(fit_text(f" {self._head()}", width), style("heading"))])]
        for number in range(top, top + max(0, height - 2)):
            text = tail.lines[number - tail.first] if number - tail.first < len(tail.lines) else ""
            found = number == self._match
            words = plain(text)[self._column :]
            line = fit_text(f"{MARKER if found else ' '}{words}", width)
            strips.append(Strip([Segment(line, style("cursor" if found else "text"))]))
        return [*strips, Strip([Segment(fit_text(f" {KEYS}", width), style("dim"))])]

    def _head(self) -> str:
        tail = self._tail
        if not tail.lines:
            return plain(f"engine.log of {self._name}: empty")
        count = len(tail.lines)
        parts = [f"{'last ' if tail.left_out else ''}{count} line{'s' if count > 1 else ''}"]
        if self._follows:
            parts.append("following")
        if self._wanted:
            parts.append(f"{len(self._matches())} with “{self._wanted}”")
        return plain(f"engine.log of {self._name}: {', '.join(parts)}")

    # ------------------------------------------------------------------ keys

    def action_close(self) -> None:
        box = self.query_one(FormBox)
        if box.display:
            self._close_box()
        else:
            self.dismiss()

    def action_scroll(self, by: int) -> None:
        top = self._top + by
        self._follows = by > 0 and top >= self._last_top()
        self._top = top
        self._redraw()

    def action_page(self, by: int) -> None:
        self.action_scroll(by * self._rows)

    def action_first(self) -> None:
        self._top, self._follows = self._tail.first, False
        self._redraw()

    def action_follow(self) -> None:
        self._follows = True
        self._redraw()

    def action_sideways(self, by: int) -> None:
        self._column = max(0, self._column + by * SIDEWAYS)
        self._redraw()

    def action_search(self) -> None:
        box = self.query_one(FormBox)
        box.value = ""
        box.display = True
        box.focus()

    def on_input_submitted(self, event: FormBox.Submitted) -> None:
        event.stop()
        self._wanted, self._match = event.value.strip(), -1
        self._close_box()
        self.action_match(-1 if self._follows else 1)

    def _close_box(self) -> None:
        self.query_one(FormBox).display = False
        self.set_focus(None)

    def _matches(self) -> list[int]:
        """Numbers of the lines that have what was searched for, as they are shown."""
        wanted, first = self._wanted.casefold(), self._tail.first
        lines = enumerate(self._tail.lines, start=first)
        return [number for number, line in lines if wanted and wanted in plain(line).casefold()]

    def action_match(self, by: int) -> None:
        """Go to the next or the previous line that matches, and past the last one to the first. After a search the
        next one is looked for from the uppermost line on, the previous one from the end."""
        found = self._matches()
        if found:
            before = self._top - 1 if by > 0 else found[-1] + 1
            here = self._match if self._match >= 0 else before
            onward = [number for number in found if number > here] or found
            back = [number for number in found if number < here] or found
            self._match = onward[0] if by > 0 else back[-1]
            self._top, self._follows = self._match - self._rows // 2, False
            text = plain(self._tail.lines[self._match - self._tail.first])
            place = text.casefold().find(self._wanted.casefold())
            self._column = max(0, place - SIDEWAYS) if place > self.size.width - SIDEWAYS else 0
        self._redraw()

    def on_mouse_scroll_down(self) -> None:
        self.action_scroll(3)

    def on_mouse_scroll_up(self) -> None:
        self.action_scroll(-3)
