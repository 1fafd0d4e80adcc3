"""Compare: two snapshots, of one run or of two on the same data, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.rundir.layout import list_runs
from tui.drawing.columns import Column, fit_text
from tui.drawing.format import value_text
from tui.drawing.frame import glyphs_of
from tui.drawing.text import plain
from tui.model.predictions import span_text
from tui.screens.base import ScreenView
from tui.screens.compare.model import Comparison, MetricRow, metric_rows, most_important
from tui.screens.compare.pair import LEFT, RIGHT, Pair
from tui.widgets.picture import Picture
from tui.widgets.row_list import MARKER, CellText, Row, RowList

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
HEAD, DETAIL = 8, 3
LOW, TALL = 6, 15
"""Heights from which the head has two lines, and from which it shows the metrics."""
NARROW = 60
"""Width below which the names of the metrics are short."""
CELL_LIMIT = 300


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
            return [Strip([Segment(plain(words), self.style_of("dim"))])]
        if height < HEAD - 1:
            return [self._names_line(0, max(1, (width - 4) // 2)), self._counts_line(found)]
        if width < NARROW:
            label, wide = 7, max(4, (width - 18) // 2)
        else:
            label, wide = 16, max(12, min(30, (width - 42) // 2))
        rows = most_important(metric_rows(found.left.metrics, found.right.metrics), height - 2)
        metrics = [self._metric_line(row, label, wide) for row in rows]
        return [self._names_line(label, wide), *metrics, self._counts_line(found)]

    def _names_line(self, label: int, wide: int) -> Strip:
        """What stands on the sides, each name `wide` cells wide."""
        segments = [Segment(" " * label)]
        for side in (LEFT, RIGHT):
            active = side == self._pair.active
            name = f"{MARKER if active else ' '} {plain(self._pair.name(side), 200)}"
            fitted = fit_text(name, wide, "right")
            segments += [Segment(fitted, self.style_of("cursor" if active else "heading")), Segment("  ")]
        if label:
            segments.append(Segment("change", self.style_of("heading")))
        return Strip(segments)

    def _metric_line(self, row: MetricRow, label: int, wide: int) -> Strip:
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
                Segment(verdict, self.style_of(role)),
            ]
        )

    def _counts_line(self, found: Comparison) -> Strip:
        segments = [Segment(f" {len(found.left.right)} examples: ", self.style_of("text"))]
        for name, count in found.counts().items():
            if name != "all":
                chosen = self.style_of("cursor" if name == self._pair.show else "text")
                segments += [Segment(f"{count} {name}", chosen), Segment("  ")]
        if self._pair.show == "all":
            segments.append(Segment("all shown", self.style_of("cursor")))
        left_out = self._pair.left_out()
        if left_out:
            segments.append(Segment(f"  {left_out} are in one run only", self.style_of("warn")))
        return Strip(segments)

    def _draw_detail(self, width: int, height: int) -> Sequence[Strip]:
        pair = self._pair
        if pair.comparison is None or pair.cursor >= len(pair.rows):
            return []
        data, example = pair.data(RIGHT), pair.example(pair.cursor, RIGHT)
        head = f" {plain(data.question(example), CELL_LIMIT)}  expected {span_text(data.truth, example)}: "
        words = fit_text(head + plain(data.expected(example), CELL_LIMIT), width)
        lines = [Strip([Segment(words, self.style_of("text"))])]
        for side, label in ((LEFT, "left "), (RIGHT, "right")):
            data, columns, example = pair.data(side), pair.columns(side), pair.example(pair.cursor, side)
            answer = plain(data.answered(example, columns), CELL_LIMIT)
            words = (
                f" {label} {span_text(columns.predicted, example)}: {answer}  "
                f"(F1 {columns.f1[example]:.2f}, confidence {columns.confidence[example]:.2f})"
            )
            role = "both" if columns.right[example] else "predicted"
            lines.append(Strip([Segment(fit_text(words, width), self.style_of(role))]))
        return lines

    def _row(self, place: int) -> Row:
        pair, found = self._pair, self._pair.comparison
        if found is None or place >= len(pair.rows):
            return {}
        number = int(pair.rows[place])
        data, there = pair.data(RIGHT), pair.example(place, RIGHT)
        glyphs = glyphs_of(self.tui.ascii_only)
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
            "expected": CellText(plain(data.expected(there), CELL_LIMIT), "true"),
            "left": self._answer(LEFT, place),
            "right": self._answer(RIGHT, place),
        }

    def _answer(self, side: int, place: int) -> CellText:
        example, columns = self._pair.example(place, side), self._pair.columns(side)
        answer = plain(self._pair.data(side).answered(example, columns), CELL_LIMIT)
        return CellText(answer, "both" if columns.right[example] else "predicted")

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
        others = (path for path in list_runs(self.tui.runs_dir) if not _same(path, watched.run.path))
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


def _number(value: float | None) -> str:
    return value_text(value, "plain") if value is None or abs(value) >= 1.5 else f"{value:.3f}"


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same run, perhaps over a link."""
    try:
        return one.samefile(other)
    except OSError:
        return False
