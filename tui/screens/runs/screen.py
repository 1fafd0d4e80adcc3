"""Runs: all runs of the runs folder, and a first one to start where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.config import RunConfig
from engine.data.samples import sample_names
from engine.errors import UserError
from engine.launch import Run, resume, start
from engine.rundir.liveness import State
from tui.drawing.columns import Column, fit_text
from tui.drawing.text import path_from_here, plain
from tui.model.followed_runs import RunsFolder
from tui.model.run_rows import RESUMABLE, RUNNING, STATE_WORDS, RunRow, apart_text, progress_text, summary
from tui.screens.base import ScreenView
from tui.widgets.picture import Picture
from tui.widgets.row_list import CellText, Row, RowList

POLL_SECONDS = 1.0
CELL_LIMIT = 300
FIRST_SAMPLE = "remedies"
HEAD, DETAIL = 2, 3
TALL = 10
"""Height from which head and detail have all their lines."""
COLUMNS = (
    Column("state", "state", 8),
    Column("name", "run", 16, share=3),
    Column("dataset", "data", 10, share=1),
    Column("model", "model", 8, share=1, from_width=90),
    Column("epoch", "epoch", 7, align="right"),
    Column("best", "best", 5, align="right"),
    Column("reason", "", 10, share=3, from_width=64),
)
ROLES = {
    State.LIVE: "good",
    State.STARTING: "good",
    State.PAUSED: "warn",
    State.SILENT: "warn",
    State.DEAD: "bad",
    State.FAILED: "bad",
    State.FINISHED: "text",
    State.STOPPED: "text",
}


class RunsScreen(ScreenView):
    """A row for each run, newest first, and one for each sample data set that a run can be started on."""

    DEFAULT_CSS = f"""
    RunsScreen {{ layout: vertical; }}
    RunsScreen #runs-head {{ height: {HEAD}; }}
    RunsScreen #runs-detail {{ height: {DETAIL}; }}
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._folder: RunsFolder | None = None
        self._rows: list[RunRow] | None = None
        self._samples: list[str] = []
        self._cursor = 0
        self._asked: tuple[str, str, str] | None = None
        """Key and action waiting for a confirming second press of the key, and the path of the run they are for."""
        self._seek = ""
        """Path of the run that the cursor goes to when it is listed."""
        self._polling = False
        self._starting = False

    def compose(self) -> ComposeResult:
        yield Picture(self._draw_head, id="runs-head")
        yield RowList(COLUMNS, self._row, self.style_of, id="runs-table")
        yield Picture(self._draw_detail, id="runs-detail")

    @property
    def table(self) -> RowList:
        return self.query_one("#runs-table", RowList)

    def on_mount(self) -> None:
        self._samples = sorted(sample_names(), key=lambda name: name != FIRST_SAMPLE)
        if self.tui.viewer is not None:
            self._seek = str(self.tui.viewer.run.path)
        self.set_interval(POLL_SECONDS, self._poll)
        self.run_worker(self._poll(), exclusive=False)

    def enter(self) -> None:
        self._asked = None
        self.run_worker(self._poll(), exclusive=False)
        self.renew()

    async def _poll(self) -> None:
        if self.tui.view_name != self.id or self._polling:
            return
        if self._folder is None or self._folder.path != self.tui.runs_dir:
            self._folder = RunsFolder(self.tui.runs_dir)
        self._polling = True
        try:
            self._take(await asyncio.to_thread(self._folder.poll))
        finally:
            self._polling = False

    def _take(self, rows: list[RunRow]) -> None:
        """Show new rows; the cursor stays on what it is on, wherever that is now."""
        chosen, sample = self._chosen, self._sample
        path = self._seek or (chosen.path if chosen is not None else "")
        place = next((n for n, row in enumerate(rows) if row.path == path), -1)
        if place >= 0:
            self._cursor, self._seek = place, ""
        elif sample is not None:
            self._cursor = len(rows) + self._samples.index(sample)
        self._rows = rows
        self.renew()

    def renew(self) -> None:
        count = len(self._rows or ()) + (len(self._samples) if self._rows is not None else 0)
        self._cursor = max(0, min(self._cursor, count - 1))
        self.table.empty = "looking for runs" if self._rows is None else ""
        self.table.renew(count, self._cursor)
        for picture in self.query(Picture):
            picture.redraw()

    @property
    def _chosen(self) -> RunRow | None:
        """The run under the cursor; None on the row of a sample."""
        rows = self._rows or []
        return rows[self._cursor] if self._cursor < len(rows) else None

    @property
    def _sample(self) -> str | None:
        """The sample data set under the cursor."""
        place = self._cursor - len(self._rows or ())
        return self._samples[place] if self._rows is not None and 0 <= place < len(self._samples) else None

    # ------------------------------------------------------------------ pictures

    def _draw_head(self, width: int, height: int) -> Sequence[Strip]:
        folder = plain(path_from_here(self.tui.runs_dir), CELL_LIMIT)
        if self._rows is None:
            words, hint = f"looking for runs in {folder}", ""
        elif not self._rows:
            words = f"There are no runs in {folder} yet."
            hint = "Enter on a sample data set starts training; it goes on when you leave."
        else:
            words, hint = f"{summary(self._rows)} in {folder}", ""
        return [
            Strip([Segment(fit_text(f" {words}", width), self.style_of("heading"))]),
            Strip([Segment(fit_text(f" {hint}", width), self.style_of("text"))]),
        ]

    def _draw_detail(self, width: int, height: int) -> Sequence[Strip]:
        style = self.style_of
        row = self._chosen
        if row is None:
            sample = self._sample
            if sample is None:
                return []
            words = f" fine-tunes the default model on {sample}, 5 epochs"
            return [
                Strip.blank(width),
                Strip([Segment(fit_text(words, width), style("text"))]),
                Strip([Segment(" Enter starts it", style("dim"))]),
            ][-height:]
        model = plain(row.model, CELL_LIMIT)
        reason = f": {plain(row.reason, 2000)}" if row.reason else ""
        reason += f"  best: {apart}" if (apart := apart_text(row)) else ""
        keys = ["Enter opens it"]
        if row.state in RUNNING:
            keys.append("S stops it")
        if row.state in RESUMABLE:
            keys.append("R resumes it")
        asked = self._asked if self._asked and self._asked[2] == row.path else None
        where = plain(path_from_here(Path(row.path)), 2000)
        last = f"press {asked[0]} once more to {asked[1]} it" if asked else ", ".join(keys)
        return [
            Strip([Segment(fit_text(f" {where}", width), style("dim"))]),
            Strip(
                [
                    Segment(f" {STATE_WORDS[row.state]}", style(ROLES[row.state])),
                    Segment(fit_text(f"{reason}  model {model}", max(0, width - 12))),
                ]
            ),
            Strip([Segment(fit_text(f" {last}", width), style("warn" if asked else "dim"))]),
        ][-height:]

    def _row(self, place: int) -> Row:
        rows = self._rows or []
        if place >= len(rows):
            name = self._samples[place - len(rows)]
            return {
                "state": CellText("new", "heading"),
                "name": CellText("start a run"),
                "dataset": CellText(name, "heading"),
                "reason": CellText("sample data", "dim"),
            }
        row = rows[place]
        viewer = self.tui.viewer
        open_here = viewer is not None and str(viewer.run.path) == row.path
        return {
            "state": CellText(STATE_WORDS[row.state], ROLES[row.state]),
            "name": CellText(plain(row.name, CELL_LIMIT), "heading" if open_here else "text"),
            "dataset": CellText(plain(row.dataset, CELL_LIMIT)),
            "model": CellText(plain(row.model.rstrip("/").rpartition("/")[2], CELL_LIMIT)),
            "epoch": CellText(progress_text(row)),
            "best": CellText("-" if row.best is None else f"{row.best:.3f}"),
            "reason": CellText(plain(row.reason, CELL_LIMIT), "dim"),
        }

    # ------------------------------------------------------------------ commands

    def do_row_down(self) -> None:
        self._go(self._cursor + 1)

    def do_row_up(self) -> None:
        self._go(self._cursor - 1)

    def do_page_down(self) -> None:
        self._go(self._cursor + self.table.rows_in_view)

    def do_page_up(self) -> None:
        self._go(self._cursor - self.table.rows_in_view)

    def _go(self, place: int) -> None:
        self._cursor, self._asked = place, None
        self.renew()

    def do_open(self) -> None:
        """RunStatus the run under the cursor, or start one on the sample data."""
        row, sample = self._chosen, self._sample
        if row is not None:
            self.tui.open_run(Path(row.path))
        elif sample is not None and not self._starting:
            self._starting = True
            self.tui.say(f"starting a run on {sample}")
            self.run_worker(self._start(sample), exclusive=False)

    async def _start(self, sample: str) -> None:
        try:
            config = RunConfig(dataset=sample, runs_dir=str(self.tui.runs_dir))
            run = await asyncio.to_thread(start, config)
            self._seek = str(run.path)
            self.tui.open_run(run.path)
        except UserError as error:
            self.tui.say(str(error))
        finally:
            self._starting = False

    def do_stop_run(self) -> None:
        """Ask the engine of the run under the cursor to save and stop; asks once more first."""
        row = self._chosen
        if row is None or row.state not in RUNNING:
            self._asked = None
            self.tui.say("this run is not training")
        elif self._sure("S", "stop", row):
            Run(Path(row.path)).stop()
            self.tui.say(f"asked {row.name} to save and stop")
        self.renew()

    def do_resume_run(self) -> None:
        """Resume the run under the cursor; asks once more first."""
        row = self._chosen
        if row is None or row.state not in RESUMABLE:
            self._asked = None
            self.tui.say("this run can't be resumed: it is finished, or at work")
        elif row.state is State.PAUSED:
            self._asked = None
            Run(Path(row.path)).resume()
            self.tui.say(f"asked {row.name} to go on")
        elif self._sure("R", "resume", row):
            self.run_worker(self._resume(Path(row.path)), exclusive=False)
        self.renew()

    def _sure(self, key: str, what: str, row: RunRow) -> bool:
        """Whether the same was asked of the same run just before."""
        question = (key, what, row.path)
        again = self._asked == question
        self._asked = None if again else question
        return again

    async def _resume(self, path: Path) -> None:
        try:
            await asyncio.to_thread(resume, path)
            self.tui.open_run(path)
        except UserError as error:
            self.tui.say(str(error))

    # ------------------------------------------------------------------ layout and mouse

    def on_resize(self, event: events.Resize) -> None:
        """On a low screen the rows come first."""
        tall = self.size.height >= TALL
        self.query_one("#runs-head", Picture).styles.height = HEAD if tall else 1
        self.query_one("#runs-detail", Picture).styles.height = DETAIL if tall else 1
        self.call_after_refresh(self.renew)

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        self._go(event.row)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        self.tui.action_do("open")
