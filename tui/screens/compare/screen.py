"""Compare: two snapshots, of one run or of two on the same data, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.rundir.layout import list_runs
from tui.drawing.columns import Column
from tui.drawing.frame import glyphs_of
from tui.drawing.messages import message_lines
from tui.drawing.text import plain
from tui.screens.base import ScreenView
from tui.screens.compare.pair import LEFT, RIGHT, Pair
from tui.screens.compare.strips import CELL_LIMIT, COLUMNS, DETAIL, HEAD, detail_strips, example_row, head_strips
from tui.widgets.picture import Picture
from tui.widgets.row_list import CellText, Row, RowList

RUN_COLUMNS = (Column("name", "run to compare with", 20, share=3), Column("what", "", 10, share=2))
LOW, TALL = 6, 15
"""Heights from which the head has two lines, and from which it shows the metrics."""


class CompareScreen(ScreenView):
    """Metrics of both sides above, below them the examples that changed, one of them in full."""

    DEFAULT_CSS = f"""
    CompareScreen {{ layout: vertical; }}
    CompareScreen #compare-head {{ height: {HEAD}; }}
    CompareScreen #compare-runs {{ display: none; }}
    CompareScreen #compare-detail {{ height: {DETAIL}; }}
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pair = Pair()
        self._choices: list[Path] = []

    def compose(self) -> ComposeResult:
        yield Picture(self._draw_head, id="compare-head")
        yield RowList(COLUMNS, self._row, self.style_of, id="compare-table")
        yield RowList(RUN_COLUMNS, self._run_row, self.style_of, id="compare-runs")
        yield Picture(self._draw_detail, id="compare-detail")

    @property
    def table(self) -> RowList:
        return self.query_one("#compare-table", RowList)

    @property
    def _chooser(self) -> RowList:
        return self.query_one("#compare-runs", RowList)

    # ------------------------------------------------------------------ data

    def enter(self) -> None:
        self.renew()

    def renew(self) -> None:
        pair = self._pair
        if self._choosing and self.tui.viewer is not pair.watched:
            self._chooser.display, self.table.display = False, True  # the choice was for another run
        pair.load(self.tui.viewer)
        words = {"learned": "nothing was learned", "forgotten": "nothing was forgotten"}
        self.table.empty = words.get(pair.show, "no example is answered otherwise") if pair.comparison else ""
        self.table.renew(len(pair.rows), pair.cursor)
        for picture in self.query(Picture):
            picture.redraw()

    # ------------------------------------------------------------------ pictures

    def _draw_head(self, width: int, height: int) -> Sequence[Strip]:
        found = self._pair.comparison
        if found is None:
            words = self._pair.trouble or "waiting for the first snapshot"
            if self.tui.viewer is None:
                words = "no run is open: 6 lists the runs"
            return [Strip([Segment(line, self.style_of("dim"))]) for line in message_lines(words, width, height)]
        return head_strips(self._pair, found, width, height, self.style_of, glyphs_of(self.tui.ascii_only))

    def _draw_detail(self, width: int, height: int) -> Sequence[Strip]:
        if self._pair.comparison is None or self._pair.cursor >= len(self._pair.rows):
            return []
        return detail_strips(self._pair, width, self.style_of)

    def _row(self, place: int) -> Row:
        found = self._pair.comparison
        if found is None or place >= len(self._pair.rows):
            return {}
        return example_row(self._pair, found, place, glyphs_of(self.tui.ascii_only))

    # ------------------------------------------------------------------ commands

    def do_row_down(self) -> None:
        self._go(1)

    def do_row_up(self) -> None:
        self._go(-1)

    def do_page_down(self) -> None:
        self._go(self._list.rows_in_view)

    def do_page_up(self) -> None:
        self._go(-self._list.rows_in_view)

    @property
    def _list(self) -> RowList:
        """The list that the keys move in."""
        return self._chooser if self._choosing else self.table

    def _go(self, step: int) -> None:
        if self._choosing:
            self._chooser.move(self._chooser.cursor + step)
        else:
            self._pair.point(self._pair.cursor + step)
            self.renew()

    def do_open(self) -> None:
        """Show the example under the cursor in Journey, at the right side's snapshot, or take the chosen run."""
        pair = self._pair
        if self._choosing:
            self._take_run(self._chooser.cursor)
        elif pair.cursor >= len(pair.rows):
            return
        elif not pair.is_watched(RIGHT):
            self.tui.say("the right side is another run: 6 opens it")
        else:
            self.tui.go_to_example(pair.example(pair.cursor, RIGHT))
            self.tui.go_to(pair.snapshot(RIGHT))
            self.tui.show_view("journey")

    def do_filter(self) -> None:
        self._pair.next_filter()
        self.renew()

    def do_side(self) -> None:
        """The other side is the one that ← and → move."""
        self._pair.active = RIGHT if self._pair.active == LEFT else LEFT
        self.renew()

    def do_swap(self) -> None:
        """Left goes right and right goes left."""
        self._pair.swap()
        self.renew()

    def do_side_previous(self) -> None:
        self._flip(-1)

    def do_side_next(self) -> None:
        self._flip(1)

    def do_side_first(self) -> None:
        self._flip(-(1 << 30))

    def do_side_latest(self) -> None:
        self._flip(1 << 30)

    def _flip(self, step: int) -> None:
        self._pair.flip(step)
        self.tui.changed()

    # ------------------------------------------------------------------ another run

    @property
    def _choosing(self) -> bool:
        return self._chooser.display

    def do_other_run(self) -> None:
        """List the runs that can stand on the active side; once more closes the list."""
        if self._choosing:
            self._close_chooser()
            return
        watched = self.tui.viewer
        if watched is None or self._pair.comparison is None:
            self.tui.say("there is nothing to compare with yet")
            return
        known = list_runs(self.tui.runs_dir) if self.tui.only_run is None else []
        others = (path for path in known if not _same(path, watched.run.path))
        self._choices = [watched.run.path, *others]
        self.table.display, self._chooser.display = False, True
        self._chooser.renew(len(self._choices), 0)
        self._chooser.focus()

    def _run_row(self, row: int) -> Row:
        path = self._choices[row]
        same = self.tui.viewer is not None and path == self.tui.viewer.run.path
        return {
            "name": CellText(plain(path.name, CELL_LIMIT)),
            "what": CellText("the run that is watched" if same else "", "dim"),
        }

    def _take_run(self, row: int) -> None:
        watched = self.tui.viewer
        if watched is None or row >= len(self._choices):
            return
        if self._choices[row] == watched.run.path:
            self._pair.seat_watched(self.tui.view_state.snapshot)
        else:
            self._pair.seat_run(self._choices[row])
        self.renew()
        self._close_chooser()

    def _close_chooser(self) -> None:
        self._chooser.display, self.table.display = False, True
        self.table.focus()
        self.call_after_refresh(self.renew)

    # ------------------------------------------------------------------ mouse

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        if event.rows is self.table:
            self._pair.point(event.row)
            self.renew()

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        self.tui.action_do("open")

    def on_resize(self, event: events.Resize) -> None:
        """On a low screen the rows come first."""
        height = self.size.height
        head = HEAD if height >= TALL else 2 if height >= LOW else 1
        detail = DETAIL if height >= LOW + DETAIL else 0
        self.query_one("#compare-head", Picture).styles.height = head
        self.query_one("#compare-detail", Picture).styles.height = detail
        self.call_after_refresh(self.renew)


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same run, perhaps over a link."""
    try:
        return one.samefile(other)
    except OSError:
        return False
