"""Runs: all runs of the runs folder, and a first one to start where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.config import RunConfig
from engine.data.samples import sample_names
from engine.errors import UserError
from engine.launch import Run, resume, start
from engine.rundir.liveness import State
from tui.model.followed_runs import RunsFolder
from tui.model.run_rows import RESUMABLE, RUNNING, RunRow
from tui.screens.base import ScreenView
from tui.screens.runs.strips import COLUMNS, head_strips, run_detail, run_row, sample_detail, sample_row
from tui.widgets.picture import Picture
from tui.widgets.row_list import Row, RowList

POLL_SECONDS = 1.0
FIRST_SAMPLE = "remedies"
HEAD, DETAIL = 2, 3
TALL = 10
"""Height from which head and detail have all their lines."""


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
        return head_strips(self._rows, self.tui.runs_dir, width, self.style_of)

    def _draw_detail(self, width: int, height: int) -> Sequence[Strip]:
        row, sample = self._chosen, self._sample
        if row is not None:
            key, action, path = self._asked or ("", "", "")
            question = f"press {key} once more to {action} it" if path == row.path else ""
            lines = run_detail(row, question, width, self.style_of)
        else:
            lines = sample_detail(sample, width, self.style_of) if sample is not None else []
        return lines[-height:]

    def _row(self, place: int) -> Row:
        rows, viewer = self._rows or [], self.tui.viewer
        if place >= len(rows):
            return sample_row(self._samples[place - len(rows)])
        return run_row(rows[place], is_open=viewer is not None and str(viewer.run.path) == rows[place].path)

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
