"""Map: the data map of all examples, and the labels that deserve a look; verdicts on them by keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import Size
from textual.strip import Strip

from engine.errors import UserError
from tui.drawing.frame import glyphs_of
from tui.model.viewer import Viewer
from tui.screens.map.halves import HalfView
from tui.screens.map.model import (
    KINDS,
    NOBODY,
    MapCells,
    MapRows,
    sorted_examples,
)
from tui.screens.map.strips import (
    ALL_COLUMNS,
    GUTTER,
    SUSPECT_COLUMNS,
    Shown,
    detail_strips,
    example_row,
    map_strips,
    message_strips,
    suspect_row,
    words_strip,
)
from tui.widgets.picture import Picture
from tui.widgets.row_list import Row, RowList

WIDE = 140
"""From this width on the list stands beside the map."""
NOTHING = "no label deserves a look: all were judged, or no epoch is done"


class MapScreen(HalfView):
    """The map, the list, and the example under the cursor in full."""

    DEFAULT_CSS = """
    MapScreen { layout: vertical; }
    MapScreen #map-top { height: 1fr; }
    MapScreen #map-words { height: 1; }
    MapScreen #map-detail { height: 6; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._list = MapRows()
        self._walks_map = True
        self._left_at = 0
        self._laid_out_for: Size | None = None
        self._cells: MapCells | None = None
        self._made_of: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        with Container(id="map-top"):
            yield Picture(self._draw_map, id="map-chart")
            with Container(id="map-side"):
                yield Picture(self._draw_words, id="map-words")
                yield RowList(SUSPECT_COLUMNS, self._row, self.style_of, id="map-table")
        yield Picture(self._draw_detail, id="map-detail")

    @property
    def table(self) -> RowList:
        return self.query_one("#map-table", RowList)

    # ------------------------------------------------------------------ data

    @property
    def _is_whole(self) -> bool:
        """Whether the parts inside the containers are there: they come a little later than the screen."""
        return bool(self.query("#map-table"))

    def enter(self) -> None:
        if not self._is_whole:
            self.call_after_refresh(self.enter)
            return
        self.tui.focus_view()
        self._resize()
        self.renew()

    def renew(self) -> None:
        if not self._is_whole:
            return
        if self._laid_out_for != self.size:
            self._resize()
        self._load()
        self.table.columns = ALL_COLUMNS if self._list.show == "all examples" else SUSPECT_COLUMNS
        self.table.empty = NOTHING if self.dynamics is not None else ""
        self.table.renew(len(self._list.rows), self._list.place)
        for picture in self.query(Picture):
            picture.redraw()

    def _load(self) -> None:
        """Take the dynamics as far as they are read, and what is listed of them."""
        viewer = self.tui.viewer
        self._insight = insight = viewer.insight if viewer is not None else None
        if viewer is None or insight is None:
            self._listed, self._made_of = None, ()
            self._list.take(NOBODY, -1)
            return
        if viewer.ready and insight.begin(viewer.snapshots):
            self.run_worker(self._read(viewer), exclusive=False)
        half, dynamics = self._half, self.dynamics
        kind = KINDS.get(self._list.show)
        self._listed = half.suspects(kind, viewer.verdicts) if kind is not None and half is not None else None
        made_of = (dynamics, self._listed if kind else self._list.sort, self._list.show)
        example = self._number
        if len(made_of) != len(self._made_of) or any(a is not b for a, b in zip(made_of, self._made_of, strict=True)):
            self._made_of = made_of
            rows = self._listed.examples if self._listed is not None else NOBODY
            if kind is None and dynamics is not None:
                rows = sorted_examples(dynamics, self._list.sort)
            chosen = self._list.take(rows, example)
            if not self._walks_map and chosen >= 0:
                self._show_example(chosen)
        else:
            self._list.point(example)

    async def _read(self, viewer: Viewer) -> None:
        await asyncio.to_thread(viewer.insight.read, list(viewer.snapshots), viewer.examples, viewer.seen)
        if self.is_mounted:
            self.tui.changed()

    def _shown(self) -> Shown | None:
        """The example under the cursor."""
        viewer, number, subject = self.tui.viewer, self._number, self.subject()
        if viewer is None or subject is None:
            return None
        half, example = subject
        suspect, answer = self._listed.of(number) if self._listed is not None else None, None
        with suppress(OSError, UserError):  # a snapshot that can't be read shows no answer
            answer = self.proposed()
        return Shown(number, example, answer, suspect, viewer.verdicts.of(half, example.id), self._choice)

    # ------------------------------------------------------------------ pictures

    def _draw_map(self, width: int, height: int) -> Sequence[Strip]:
        dynamics = self.dynamics
        self._cells = None
        if dynamics is None:
            return message_strips(self._waiting(), width, self.style_of)
        strips, self._cells = map_strips(
            dynamics,
            min(self._number, len(dynamics) - 1),
            width,
            height,
            self.style_of,
            glyphs_of(self.tui.ascii_only),
            walked=self._walks_map,
        )
        return strips

    def _waiting(self) -> list[str]:
        if self._insight is None:
            return ["No run is open: 6 lists the runs."]
        if self._insight.trouble:
            return [self._insight.trouble]
        if self._insight.reading:
            return ["Reading the snapshots …"]
        return ["The map is made of whole epochs: waiting for the first one."]

    def _draw_words(self, width: int, height: int) -> Sequence[Strip]:
        insight = self._insight
        if insight is None or self.dynamics is None:
            return []
        return [
            words_strip(
                f"{self._list.show}, training examples" if self._trains else self._list.show,
                len(self._list.rows),
                self._list.sort if self._list.show == "all examples" else "",
                len(self.tui.viewer.verdicts) if self.tui.viewer else 0,
                self.style_of,
                glyphs_of(self.tui.ascii_only),
                walked=not self._walks_map,
                trouble=insight.trouble,
            )
        ]

    def _draw_detail(self, width: int, height: int) -> Sequence[Strip]:
        dynamics, shown = self.dynamics, self._shown()
        if dynamics is None or shown is None or shown.number >= len(dynamics):
            return []
        return detail_strips(shown, dynamics, width, height, self.style_of, glyphs_of(self.tui.ascii_only))

    def _row(self, place: int) -> Row:
        half, viewer = self._half, self.tui.viewer
        if half is None or viewer is None or place >= len(self._list.rows):
            return {}
        number = int(self._list.rows[place])
        example = half.examples[number]
        if self._list.show == "all examples":
            return example_row(number, half.dynamics, example, viewer.verdicts.of(half.half, example.id))
        return suspect_row(place, self._listed[place], half.dynamics, example) if self._listed is not None else {}

    # ------------------------------------------------------------------ layout

    def on_resize(self, event: events.Resize) -> None:
        self._resize()
        self.call_after_refresh(self.renew)

    def _resize(self) -> None:
        """Map over list, or beside it where there is room; the example takes a third of the height at most."""
        if not self._is_whole:
            return
        self._laid_out_for = self.size
        width, height = self.size
        wide = width >= WIDE
        top, chart, side = (self.query_one(f"#map-{name}") for name in ("top", "chart", "side"))
        detail = max(0, min(height // 3, 12))
        rest = max(0, height - detail)
        top.styles.layout = "horizontal" if wide else "vertical"
        chart.styles.width, side.styles.width = ("2fr", "3fr") if wide else ("1fr", "1fr")
        chart.styles.height = "1fr" if wide else max(0, min(rest * 3 // 5, rest - 4))
        side.styles.height = "1fr"
        self.query_one("#map-detail").styles.height = detail

    # ------------------------------------------------------------------ commands

    def do_map_up(self) -> None:
        self._walk(0, 1, -1)

    def do_map_down(self) -> None:
        self._walk(0, -1, 1)

    def do_map_left(self) -> None:
        self._walk(-1, 0, 0)

    def do_map_right(self) -> None:
        self._walk(1, 0, 0)

    def _walk(self, right: int, up: int, rows: int) -> None:
        """A step in the map; in the list rows up or down, and to the sides a snapshot."""
        if self._walks_map:
            if self._cells is not None:
                self._show_example(self._cells.step(self._number, right, up))
        elif rows:
            self._go(self._list.place + rows)
        else:
            self.tui.action_do("next" if right > 0 else "previous")

    def _go(self, place: int) -> None:
        rows = self._list.rows
        if len(rows):
            self._list.place = self._left_at = max(0, min(place, len(rows) - 1))
            self._show_example(int(rows[self._list.place]))

    def do_page_down(self) -> None:
        self._walk_list()
        self._go(self._list.place + self.table.rows_in_view)

    def do_page_up(self) -> None:
        self._walk_list()
        self._go(self._list.place - self.table.rows_in_view)

    def _walk_list(self) -> None:
        self._walks_map = False

    def do_side(self) -> None:
        """Arrows walk the list, or the map."""
        self._walks_map = not self._walks_map
        if not self._walks_map:
            self._go(self._left_at)
        self.tui.changed()

    def do_lists(self) -> None:
        self._list.next_list()
        self._from_the_top()

    def do_sort(self) -> None:
        """The next order of all examples."""
        if self._list.show == "all examples":
            self._list.next_sort()
        else:
            self._list.show = "all examples"
        self._from_the_top()

    def _from_the_top(self) -> None:
        """Other rows are listed: walk them from the first one."""
        self._walks_map = False
        self._load()
        self._go(0)
        self.tui.changed()

    def do_same_place(self) -> None:
        """The next example at the same place of the map."""
        example = self._number
        same = self._cells.same(example).tolist() if self._cells is not None else []
        if len(same) > 1:
            self._show_example(same[(same.index(example) + 1) % len(same)])
        else:
            self.tui.say("no other example lies here")

    def do_open(self) -> None:
        """Show the example under the cursor in Journey."""
        if self._trains:
            self.tui.say("Journey shows evaluation examples; S chooses a span of a training example here")
        else:
            self.tui.show_view("journey")

    def do_copy(self) -> None:
        shown = self._shown()
        if shown is None:
            return
        golds = " | ".join(answer.text for answer in shown.example.answers) or "(no answer)"
        found = shown.answer
        answer = shown.example.context[slice(*found)] if found is not None and found[0] >= 0 else "(no answer)"
        self.tui.copy(f"{shown.example.question}\nexpected: {golds}\npredicted: {answer}")

    # ------------------------------------------------------------------ mouse

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        self._walk_list()
        self._go(event.row)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        self.do_open()

    def on_picture_pressed(self, event: Picture.Pressed) -> None:
        cells = self._cells
        if event.picture.id != "map-chart" or cells is None:
            return
        column, row = event.x - GUTTER, cells.height - event.y
        found = ((cells.column == column) & (cells.row == row)).nonzero()[0]
        if len(found):
            self._walks_map = True
            self._show_example(int(found[0]))
            self.tui.changed()
