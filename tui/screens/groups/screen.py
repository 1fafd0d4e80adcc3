"""Where it fails: for each group of questions what is right, and what was learned and forgotten at a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rich.segment import Segment
from textual.app import ComposeResult
from textual.strip import Strip

from engine.errors import UserError
from engine.insight.groups import Group, GroupScore, group_scores, groups_of, shares_right
from tui.drawing.columns import Column
from tui.drawing.frame import Glyphs, glyphs_of
from tui.drawing.text import plain
from tui.model.viewer import Viewer
from tui.screens.base import ScreenView
from tui.widgets.bars import SPARKS
from tui.widgets.picture import Picture
from tui.widgets.row_list import CellText, Row, RowList

COLUMNS = (
    Column("kind", "group", 14),
    Column("name", "", 20, share=1),
    Column("count", "questions", 9, align="right"),
    Column("right", "right", 6, align="right"),
    Column("f1", "F1", 4, align="right"),
    Column("wrong", "wrong", 5, align="right"),
    Column("learned", "+", 4, align="right"),
    Column("forgotten", "-", 4, align="right"),
    Column("course", "right by epoch", 14, share=1, from_width=100),
)


class GroupsScreen(ScreenView):
    """What is counted in words, and a row for each group."""

    DEFAULT_CSS = """
    GroupsScreen { layout: vertical; }
    GroupsScreen #groups-words { height: 2; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._source: object = None
        self._groups: list[Group] = []
        self._scores: list[GroupScore] = []
        self._order: list[int] = []
        self._worst_first = False
        self._place = 0
        self._trouble = ""

    def compose(self) -> ComposeResult:
        yield Picture(self._draw_words, id="groups-words")
        yield RowList(COLUMNS, self._row, self.style_of, id="groups-table")

    @property
    def table(self) -> RowList:
        return self.query_one("#groups-table", RowList)

    @property
    def scores(self) -> list[GroupScore]:
        """The groups at the snapshot in view, in the order of the rows."""
        return [self._scores[number] for number in self._order]

    # ------------------------------------------------------------------ data

    def renew(self) -> None:
        if not self.is_mounted:
            return
        self._load()
        self.table.renew(len(self._order), self._place)
        for picture in self.query(Picture):
            picture.redraw()

    def _load(self) -> None:
        viewer = self.tui.viewer
        if viewer is None or not viewer.ready or not viewer.snapshots:
            self._source, self._groups, self._scores, self._order = None, [], [], []
            return
        if viewer.insight.begin(viewer.snapshots):
            self.run_worker(self._read(viewer), exclusive=False)
        source = (viewer.eval_set, viewer.insight.seen)
        if self._source is None or any(a is not b for a, b in zip(source, self._source, strict=True)):  # type: ignore[call-overload]
            self._source = source
            self._groups = groups_of(viewer.examples, viewer.insight.seen, by_character=viewer.by_character)
        position = min(self.tui.view_state.snapshot, len(viewer.snapshots) - 1)
        try:
            snapshot = viewer.snapshot(position)
            right, f1 = snapshot.column("exact_match") >= 1, snapshot.column("f1")
            scored, before, both = snapshot.scored, None, snapshot.scored
            if position:
                earlier = viewer.snapshot(position - 1)
                before, both = earlier.column("exact_match") >= 1, scored & earlier.scored
            scores = group_scores(self._groups, right, f1, before, scored, both)
            self._scores, self._trouble = [score for score in scores if score.count or scored.all()], ""
        except (OSError, UserError) as error:
            self._scores, self._trouble = [], f"this snapshot can't be read: {error}"
        self._order = list(range(len(self._scores)))
        if self._worst_first:
            self._order.sort(key=lambda number: self._scores[number].right / max(1, self._scores[number].count))
        self._place = max(0, min(self._place, len(self._order) - 1))

    async def _read(self, viewer: Viewer) -> None:
        await asyncio.to_thread(viewer.insight.read, list(viewer.snapshots), viewer.examples, viewer.seen)
        if self.is_mounted:
            self.tui.changed()

    # ------------------------------------------------------------------ pictures

    def _draw_words(self, width: int, height: int) -> Sequence[Strip]:
        viewer = self.tui.viewer
        if viewer is None or not self._scores:
            words = self._trouble or (
                "waiting for the first snapshot" if viewer else "no run is open: 6 lists the runs"
            )
            return [Strip([Segment(f" {plain(words)}", self.style_of("dim"))])]
        glyphs, every = glyphs_of(self.tui.ascii_only), self._scores[0]
        position = min(self.tui.view_state.snapshot, len(viewer.snapshots) - 1)
        segments = [
            Segment(f" {plain(viewer.snapshots[position].label, 20)}: ", self.style_of("heading")),
            Segment(f"{every.right:,} of {every.count:,} right", self.style_of("text")),
        ]
        if sample := viewer.sample_text(position):
            segments.append(Segment(f" ({sample})", self.style_of("warn")))
        if position:
            since = plain(viewer.snapshots[position - 1].label, 20)
            segments += [
                Segment(f"; since {since} ", self.style_of("text")),
                Segment(f"{glyphs.learned} {every.learned:,} learned", self.style_of("good")),
                Segment(" ", self.style_of("text")),
                Segment(f"{glyphs.forgotten} {every.forgotten:,} forgotten", self.style_of("bad")),
            ]
        hint = " +: turned right, -: turned wrong since then; enter shows a group in Spans"
        return [Strip(segments), Strip([Segment(hint, self.style_of("dim"))])]

    def _row(self, place: int) -> Row:
        if place >= len(self._order):
            return {}
        score = self._scores[self._order[place]]
        group, glyphs = score.group, glyphs_of(self.tui.ascii_only)
        repeated = place > 0 and self._scores[self._order[place - 1]].group.kind == group.kind
        share = score.right / max(1, score.count)
        return {
            "kind": CellText("" if repeated else group.kind, "heading"),
            "name": CellText(plain(group.name, 60)),
            "count": CellText(f"{score.count:,}", "dim"),
            "right": CellText(f"{100 * share:.0f} %", "text"),
            "f1": CellText(f"{score.f1:.2f}"),
            "wrong": CellText(f"{score.count - score.right:,}", "bad" if score.right < score.count else "dim"),
            "learned": CellText(f"{score.learned:,}" if score.learned else "", "good"),
            "forgotten": CellText(f"{score.forgotten:,}" if score.forgotten else "", "bad"),
            "course": CellText(self._course(group, glyphs), "text"),
        }

    def _course(self, group: Group, glyphs: Glyphs) -> str:
        """The share that was right after each epoch, as little bars or, in ASCII, tenths."""
        viewer = self.tui.viewer
        dynamics = viewer.insight.dynamics if viewer is not None else None
        if dynamics is None or not len(group.rows):
            return ""
        shares = shares_right(group, dynamics.right)
        signs = "0123456789" if self.tui.ascii_only else SPARKS
        return "".join(signs[min(len(signs) - 1, int(share * len(signs)))] for share in shares.tolist())

    # ------------------------------------------------------------------ commands

    def do_row_down(self) -> None:
        self._go(self._place + 1)

    def do_row_up(self) -> None:
        self._go(self._place - 1)

    def do_page_down(self) -> None:
        self._go(self._place + self.table.rows_in_view)

    def do_page_up(self) -> None:
        self._go(self._place - self.table.rows_in_view)

    def _go(self, place: int) -> None:
        self._place = max(0, min(place, len(self._order) - 1))
        self.tui.changed()

    def do_sort(self) -> None:
        """By kind, or the worst first."""
        self._worst_first = not self._worst_first
        self._place = 0
        self.tui.say("the worst groups first" if self._worst_first else "groups by kind")
        self.tui.changed()

    def do_open(self) -> None:
        """Show the examples of the group in Spans."""
        if not self._order:
            return
        group = self._scores[self._order[self._place]].group
        named = group.name if group.kind == "all" else f"{group.kind}: {group.name}"
        self.tui.view_state.group = None if group.kind == "all" else (named, group.rows)
        self.tui.show_view("spans")
        self.tui.changed()

    # ------------------------------------------------------------------ mouse

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        self._go(event.row)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        self.do_open()
