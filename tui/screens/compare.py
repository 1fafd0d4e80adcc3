"""Compare: two snapshots, of one run or of two on the same data, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.errors import UserError
from engine.eval_set import EvalSet
from engine.run import list_runs
from engine.tensors import Tensors
from tui.compare_model import CHANGES, Change, Comparison, Ints, Side, metric_rows, shared_examples
from tui.curve_model import value_text
from tui.row_layout import Column, fit_text
from tui.screens.view import View
from tui.span_data import SpanColumns, SpanData, span_text
from tui.text import plain
from tui.viewer import Viewer
from tui.widgets.picture import Picture
from tui.widgets.row_list import CellText, Row, RowList

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
RUN_COLUMNS = (Column("name", "run to compare with", 20, share=3), Column("what", "", 10, share=2))
HEAD = 8
CELL_LIMIT = 300
LEFT, RIGHT = 0, 1


@dataclass
class Seat:
    """What stands on one side: a run (None: the one that is watched) and a position on its timeline."""

    viewer: Viewer | None = None
    snapshot: int = 0


class Compare(View):
    """Metrics of both sides above, below them the examples that changed, one of them in full."""

    DEFAULT_CSS = f"""
    Compare {{ layout: vertical; }}
    Compare #compare-head {{ height: {HEAD}; }}
    Compare #compare-runs {{ display: none; }}
    Compare #compare-detail {{ height: 3; }}
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._seats = [Seat(), Seat()]
        self._active = RIGHT
        self._show: Change = "changed"
        self._watched: Viewer | None = None
        self._data: dict[Viewer, tuple[EvalSet, SpanData]] = {}
        self._comparison: Comparison | None = None
        self._columns: tuple[SpanColumns, SpanColumns] | None = None
        self._shared: tuple[Ints, Ints] = (np.zeros(0, np.int32), np.zeros(0, np.int32))
        self._rows: Ints = np.zeros(0, np.int32)
        self._made_of: tuple[object, ...] = ()
        self._cursor = 0
        self._choices: list[Path] = []
        self._trouble = ""

    def compose(self) -> ComposeResult:
        yield Picture(self._draw_head, id="compare-head")
        yield RowList(COLUMNS, self._row, self.style_of, ascii_only=self.tui.ascii_only, id="compare-table")
        yield RowList(RUN_COLUMNS, self._run_row, self.style_of, ascii_only=self.tui.ascii_only, id="compare-runs")
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
        self._load()
        words = {"learned": "nothing was learned", "forgotten": "nothing was forgotten"}
        self.table.empty = words.get(self._show, "no example is answered otherwise") if self._comparison else ""
        self.table.renew(len(self._rows), self._cursor)
        for picture in self.query(Picture):
            picture.redraw()

    def _viewer(self, side: int) -> Viewer | None:
        return self._seats[side].viewer or self.tui.viewer

    def _load(self) -> None:
        watched = self.tui.viewer
        if watched is not self._watched:
            self._close_others()
            self._watched = watched
            last = max(0, len(watched.snapshots) - 1) if watched else 0
            self._seats = [Seat(), Seat(snapshot=last)]
        sides = [(viewer, self._seats[side].snapshot) for side in (LEFT, RIGHT) if (viewer := self._viewer(side))]
        if len(sides) < 2 or any(not viewer.snapshots or viewer.eval_set is None for viewer, _ in sides):
            self._comparison, self._made_of, self._rows = None, (), np.zeros(0, np.int32)
            return
        for side in (LEFT, RIGHT):
            viewer, snapshot = sides[side]
            self._seats[side].snapshot = max(0, min(snapshot, len(viewer.snapshots) - 1))
        key = (*((v, v.snapshots[self._seats[n].snapshot].time) for n, (v, _) in enumerate(sides)), self._show)
        if key == self._made_of:
            return
        try:
            self._compare(sides[LEFT][0], sides[RIGHT][0])
            self._made_of, self._trouble = key, ""
        except (OSError, UserError) as error:
            self._comparison, self._made_of = None, ()
            self._trouble = f"these snapshots can't be read: {error}"

    def _compare(self, left: Viewer, right: Viewer) -> None:
        sets = self._source(left), self._source(right)
        columns = sets[LEFT][1].at(self._seats[LEFT].snapshot), sets[RIGHT][1].at(self._seats[RIGHT].snapshot)
        ids = [[example.id for example in examples.examples] for examples, _ in sets] if left is not right else [[], []]
        if left is right:
            every = np.arange(sets[LEFT][1].count, dtype=np.int32)
            self._shared = every, every
        else:
            self._shared = shared_examples(ids[LEFT], ids[RIGHT])
        self._columns = columns
        chosen = self._chosen_example()
        self._comparison = Comparison(
            self._side(LEFT, left, columns[LEFT]).take(self._shared[LEFT]),
            self._side(RIGHT, right, columns[RIGHT]).take(self._shared[RIGHT]),
        )
        self._rows = self._comparison.rows(self._show)
        same = self._shared[RIGHT][self._rows] == (-1 if chosen is None else chosen)
        places = np.flatnonzero(same)
        self._cursor = int(places[0]) if len(places) else min(self._cursor, max(0, len(self._rows) - 1))

    def _side(self, side: int, viewer: Viewer, columns: SpanColumns) -> Side:
        event = viewer.snapshots[self._seats[side].snapshot]
        return Side(
            name=event.label,
            metrics=event.metrics,
            right=columns.right,
            f1=columns.f1,
            confidence=columns.confidence,
            char_start=columns.char_start,
            char_end=columns.char_end,
        )

    def _source(self, viewer: Viewer) -> tuple[EvalSet, SpanData]:
        examples = viewer.eval_set
        assert examples is not None
        kept = self._data.get(viewer)
        if kept is None or kept[0] is not examples:
            features = Tensors(viewer.run.features_file)
            kept = self._data[viewer] = examples, SpanData(examples, features, viewer.snapshot)
        return kept

    def _close_others(self) -> None:
        for seat in self._seats:
            if seat.viewer is not None:
                seat.viewer.close()
        self._data.clear()
        self._comparison, self._made_of = None, ()

    def _chosen_example(self) -> int | None:
        """The example of the right side under the cursor."""
        if self._comparison is None or self._cursor >= len(self._rows):
            return None
        return int(self._shared[RIGHT][self._rows[self._cursor]])

    # ------------------------------------------------------------------ pictures

    def _side_name(self, side: int) -> str:
        viewer = self._viewer(side)
        if viewer is None or not viewer.snapshots:
            return "nothing"
        label = viewer.snapshots[self._seats[side].snapshot].label
        return f"{viewer.run.name}: {label}" if self._seats[side].viewer is not None else label

    def _draw_head(self, width: int, height: int) -> Sequence[Strip]:
        style, found = self.style_of, self._comparison
        if found is None:
            if self._trouble:
                words = self._trouble
            elif self.tui.viewer is None:
                words = "no run is open: 6 lists the runs"
            else:
                words = "waiting for the first snapshot"
            return [Strip([Segment(plain(words), style("dim"))])]
        more = "~" if self.tui.ascii_only else "…"
        wide = max(12, min(30, (width - 42) // 2))
        marker = ">" if self.tui.ascii_only else "›"
        segments = [Segment(" " * 16)]
        for side in (LEFT, RIGHT):
            active = side == self._active
            name = fit_text(
                f"{marker if active else ' '} {plain(self._side_name(side), 200)}", wide, "right", more=more
            )
            segments += [Segment(name, style("cursor" if active else "heading")), Segment("  ")]
        lines = [Strip([*segments, Segment("change", style("heading"))])]
        for row in metric_rows(found.left.metrics, found.right.metrics):
            kind = "plain"
            change = row.difference
            sign = "" if change is None else f"{change:+.3f}" if abs(change) < 10 else f"{change:+.1f}"
            verdict = {-1: ("worse", "bad"), 0: ("same", "dim"), 1: ("better", "good")}[row.better]
            lines.append(
                Strip(
                    [
                        Segment(f" {row.name:<15}"),
                        Segment(f"{_number(row.left, kind):>{wide}}  "),
                        Segment(f"{_number(row.right, kind):>{wide}}  "),
                        Segment(f"{sign:>7} "),
                        Segment(verdict[0], style(verdict[1])),
                    ]
                )
            )
        lines.append(self._counts_line(found, more, width))
        return lines

    def _counts_line(self, found: Comparison, more: str, width: int) -> Strip:
        segments = [Segment(f" {len(found.left.right)} examples: ", self.style_of("text"))]
        for name, count in found.counts().items():
            if name != "all":
                chosen = self.style_of("cursor") if name == self._show else self.style_of("text")
                segments += [Segment(f"{count} {name}", chosen), Segment("  ")]
        if self._show == "all":
            segments.append(Segment("all shown", self.style_of("cursor")))
        left_out = self._left_out()
        if left_out:
            segments.append(Segment(f"  {left_out} are in one run only", self.style_of("warn")))
        return Strip(segments)

    def _left_out(self) -> int:
        viewers = self._viewer(LEFT), self._viewer(RIGHT)
        if viewers[0] is viewers[1] or viewers[0] is None or viewers[1] is None:
            return 0
        return sum(self._source(viewer)[1].count - len(self._shared[0]) for viewer in viewers if viewer)

    def _draw_detail(self, width: int, height: int) -> Sequence[Strip]:
        if self._comparison is None or self._columns is None or self._cursor >= len(self._rows):
            return []
        left, right = self._viewer(LEFT), self._viewer(RIGHT)
        if left is None or right is None:
            return []
        more, style = "~" if self.tui.ascii_only else "…", self.style_of
        number = self._rows[self._cursor]
        lines = []
        mine = int(self._shared[RIGHT][number])
        data = self._source(right)[1]
        head = f" {plain(data.question(mine), CELL_LIMIT)}  expected {span_text(data.truth, mine)}: "
        lines.append(
            Strip(
                [
                    Segment(fit_text(head + plain(data.expected(mine), CELL_LIMIT), width, more=more), style("text")),
                ]
            )
        )
        for side, viewer in ((LEFT, left), (RIGHT, right)):
            data, columns = self._source(viewer)[1], self._columns[side]
            example = int(self._shared[side][number])
            label = "left " if side == LEFT else "right"
            answer = plain(data.answered(example, columns), CELL_LIMIT)
            words = (
                f" {label} {span_text(columns.predicted, example)}: {answer}  "
                f"(F1 {columns.f1[example]:.2f}, confidence {columns.confidence[example]:.2f})"
            )
            role = "both" if columns.right[example] else "predicted"
            lines.append(Strip([Segment(fit_text(words, width, more=more), style(role))]))
        return lines

    def _row(self, place: int) -> Row:
        found, columns = self._comparison, self._columns
        left, right = self._viewer(LEFT), self._viewer(RIGHT)
        if found is None or columns is None or left is None or right is None or place >= len(self._rows):
            return {}
        number = int(self._rows[place])
        here, there = int(self._shared[LEFT][number]), int(self._shared[RIGHT][number])
        data = self._source(left)[1], self._source(right)[1]
        up, down = "+-" if self.tui.ascii_only else "↑↓"
        change = CellText("")
        if found.learned[number]:
            change = CellText(up, "good")
        elif found.forgotten[number]:
            change = CellText(down, "bad")
        gain = float(found.gain[number])
        surer = float(found.right.confidence[number] - found.left.confidence[number])
        return {
            "change": change,
            "number": CellText(str(there + 1), "dim"),
            "gain": CellText(f"{gain:+.2f}", "good" if gain > 0 else "bad" if gain < 0 else "dim"),
            "surer": CellText(f"{surer:+.2f}", "text"),
            "question": CellText(plain(data[RIGHT].question(there), CELL_LIMIT)),
            "expected": CellText(plain(data[RIGHT].expected(there), CELL_LIMIT), "true"),
            "left": CellText(
                plain(data[LEFT].answered(here, columns[LEFT]), CELL_LIMIT),
                "both" if found.left.right[number] else "predicted",
            ),
            "right": CellText(
                plain(data[RIGHT].answered(there, columns[RIGHT]), CELL_LIMIT),
                "both" if found.right.right[number] else "predicted",
            ),
        }

    # ------------------------------------------------------------------ commands

    def do_row_down(self) -> None:
        self._go(1)

    def do_row_up(self) -> None:
        self._go(-1)

    def do_page_down(self) -> None:
        self._go(self.table.rows_in_view)

    def do_page_up(self) -> None:
        self._go(-self.table.rows_in_view)

    def _go(self, step: int) -> None:
        if self._choosing:
            self._chooser.move(self._chooser.cursor + step)
            return
        self._cursor = max(0, min(self._cursor + step, len(self._rows) - 1))
        self.renew()

    def do_open(self) -> None:
        """Show the example under the cursor in Journey, at the right side's snapshot, or take the chosen run."""
        if self._choosing:
            self._take_run(self._chooser.cursor)
            return
        example = self._chosen_example()
        if example is None:
            return
        if self._seats[RIGHT].viewer is not None:
            self.tui.say("the right side is another run: 6 opens it")
            return
        self.tui.go_to_example(example)
        self.tui.go_to(self._seats[RIGHT].snapshot)
        self.tui.show_view("journey")

    def do_filter(self) -> None:
        self._show = CHANGES[(CHANGES.index(self._show) + 1) % len(CHANGES)]
        self._cursor = 0
        self.renew()

    def do_side(self) -> None:
        """The other side is the one that ← and → move."""
        self._active = RIGHT if self._active == LEFT else LEFT
        self.renew()

    def do_swap(self) -> None:
        """Left goes right and right goes left."""
        self._seats.reverse()
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
        viewer, seat = self._viewer(self._active), self._seats[self._active]
        if viewer is not None and viewer.snapshots:
            seat.snapshot = max(0, min(seat.snapshot + step, len(viewer.snapshots) - 1))
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
        if watched is None:
            return
        self._choices = [
            watched.run.path,
            *(p for p in list_runs(self.tui.runs_dir) if p.resolve() != watched.run.path),
        ]
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
        seat, path = self._seats[self._active], self._choices[row]
        if path == watched.run.path:
            self._seats[self._active] = Seat(snapshot=self.tui.place.snapshot)
        else:
            viewer = Viewer(path)
            viewer.poll()
            viewer.find_snapshots()
            if not viewer.snapshots or viewer.eval_set is None:
                viewer.close()
                self.tui.say(f"{path.name} has no snapshot yet")
                return
            ids = {example.id for example in viewer.examples}
            if ids.isdisjoint(example.id for example in watched.examples):
                viewer.close()
                self.tui.say(f"{path.name} has other data: no example in common")
                return
            self._seats[self._active] = Seat(viewer, len(viewer.snapshots) - 1)
        if seat.viewer is not None:
            self._data.pop(seat.viewer, None)
            seat.viewer.close()
        self._close_chooser()

    def _close_chooser(self) -> None:
        self._chooser.display, self.table.display = False, True
        self.table.focus()
        self.call_after_refresh(self.renew)

    # ------------------------------------------------------------------ mouse

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        if event.rows is self.table:
            self._cursor = event.row
            self.renew()

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        self.tui.action_do("open")

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self.renew)


def _number(value: float | None, style: str) -> str:
    return value_text(value, style) if value is None or abs(value) >= 1.5 else f"{value:.3f}"
