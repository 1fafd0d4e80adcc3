"""Runs: all runs of the runs folder, and a first one to start where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from engine.config import RunConfig
from engine.data.samples import sample_names
from engine.errors import UserError
from engine.launch import Run, resume, start
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.notes import Notes, write_notes
from engine.rundir.removal import remove_run
from tui.drawing.format import value_text
from tui.drawing.text import plain
from tui.model.disk_use import DiskUse
from tui.model.followed_runs import RunsFolder
from tui.model.run_rows import RESUMABLE, RUNNING, RunRow
from tui.screens.base import ScreenView
from tui.screens.runs.log_pane import LogPane
from tui.screens.runs.model import Arrangement, arranged
from tui.screens.runs.notes_dialog import NotesDialog
from tui.screens.runs.strips import COLUMNS, head_strips, run_detail, run_row, sample_detail, sample_row
from tui.view_state import RunsView
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
        self._all: list[RunRow] | None = None
        """All runs, newest first; None: not looked yet."""
        self._rows: list[RunRow] | None = None
        """Those that are listed, in the order of the table."""
        self._by = Arrangement()
        self._sizes = DiskUse()
        self._samples: list[str] = []
        self._cursor = 0
        self._asked: tuple[str, str, str] | None = None
        """Key and action waiting for a confirming second press of the key, and the path of the run they are for."""
        self._seek = ""
        """Path of the run that the cursor goes to when it is listed."""
        self._polling = False
        self._measuring = False
        self._starting = False
        self._removing = ""
        """Path of the run that is being removed."""

    def compose(self) -> ComposeResult:
        yield Picture(self._draw_head, id="runs-head")
        yield RowList(COLUMNS, self._row, self.style_of, id="runs-table")
        yield Picture(self._draw_detail, id="runs-detail")

    @property
    def table(self) -> RowList:
        return self.query_one("#runs-table", RowList)

    def on_mount(self) -> None:
        if self.tui.only_run is None:
            self._samples = sorted(sample_names(), key=lambda name: name != FIRST_SAMPLE)
        self._by = Arrangement(self.tui.runs_view.sort, self.tui.runs_view.shown)
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
            self._folder = RunsFolder(self.tui.runs_dir, self.tui.only_run)
        self._polling = True
        try:
            self._all = await asyncio.to_thread(self._folder.poll)
            self._arrange()
        finally:
            self._polling = False
        if not self._measuring:
            self.run_worker(self._measure(), exclusive=False)

    async def _measure(self) -> None:
        """Find out how much of the disk the runs take, beside all else."""
        self._measuring = True
        try:
            if await asyncio.to_thread(self._sizes.measure, [row.path for row in self._all or ()]):
                self._arrange()
        finally:
            self._measuring = False

    def _arrange(self) -> None:
        """List what is to be listed of the runs that are known."""
        if self._all is None:
            return
        rows = arranged(self._all, self._by, self._sizes.size)
        self._take([msgspec.structs.replace(row, size=self._sizes.size(row.path)) for row in rows])

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
        rows = self._all
        return head_strips(
            rows,
            self.tui.runs_dir,
            width,
            self.style_of,
            by=self._by,
            listed=len(self._rows or ()),
            size=self._sizes.total(row.path for row in rows or ()),
        )

    def _draw_detail(self, width: int, height: int) -> Sequence[Strip]:
        row, sample = self._chosen, self._sample
        if row is not None:
            key, action, path = self._asked or ("", "", "")
            question = f"press {key} once more to {action} it" if path == row.path else ""
            if question and action == "delete":
                question += f": {_what_goes(row)}"
            lines = run_detail(row, question, width, self.style_of)
        else:
            lines = sample_detail(sample, width, self.style_of) if sample is not None else []
        return lines[-height:]

    def _row(self, place: int) -> Row:
        rows, viewer = self._rows or [], self.tui.viewer
        if place >= len(rows):
            return sample_row(self._samples[place - len(rows)])
        path = Path(rows[place].path)
        is_open = viewer is not None and viewer.run.path == path
        return run_row(rows[place], is_open=is_open, is_marked=path in self.tui.marked)

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
        """Open the run under the cursor, or start one on the sample data."""
        row, sample = self._chosen, self._sample
        if row is not None:
            self.tui.open_run(Path(row.path))
        elif sample is not None and self.tui.look_only:
            self.tui.say("you may only look here")
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

    def do_remove_run(self) -> None:
        """Delete the folder of the run under the cursor; asks once more first."""
        row, viewer = self._chosen, self.tui.viewer
        if row is None or self._removing:
            self._asked = None
            self.tui.say("one run at a time: another one is being removed" if self._removing else "this is no run")
        elif row.state in RUNNING:
            self._asked = None
            self.tui.say("this run is training: stop it first (S)")
        elif viewer is not None and str(viewer.run.path) == row.path:
            self._asked = None
            self.tui.say("this run is open: open another one first, or remove it later")
        elif self._sure("X", "delete", row):
            self._removing = row.path
            self.tui.say(f"removing {plain(row.name, 100)}")
            self.run_worker(self._remove(row), exclusive=False)
        self.renew()

    async def _remove(self, row: RunRow) -> None:
        try:
            await asyncio.to_thread(remove_run, Path(row.path))
            self.tui.say(f"removed {plain(row.name, 100)}")
        except (OSError, UserError) as error:
            self.tui.say(str(error))
        finally:
            self._removing = ""
        await self._poll()

    def do_edit_run(self) -> None:
        """Edit name, note and tags of the run under the cursor."""
        row = self._chosen
        if row is None:
            self.tui.say("this is no run")
            return

        def keep(notes: Notes | None) -> None:
            if notes is not None:
                self.run_worker(self._write_notes(Path(row.path), notes), exclusive=False)

        self.app.push_screen(NotesDialog(row.name, Notes(row.title, row.note, row.tags)), keep)

    async def _write_notes(self, path: Path, notes: Notes) -> None:
        try:
            await asyncio.to_thread(write_notes, RunDir(path), notes)
        except (OSError, UserError) as error:
            self.tui.say(str(error))
        await self._poll()

    def do_run_log(self) -> None:
        """Show engine.log of the run under the cursor."""
        row = self._chosen
        if row is None:
            self.tui.say("this is no run")
        else:
            self.app.push_screen(LogPane(RunDir(Path(row.path)), self.style_of))

    def do_mark_run(self) -> None:
        """Curves shows the marked runs together with the one that is open."""
        row, marked = self._chosen, self.tui.marked
        if row is None:
            self.tui.say("only a run can be marked")
            return
        path = Path(row.path)
        marked.remove(path) if path in marked else marked.append(path)
        self.tui.say(f"{len(marked)} marked for Curves" if marked else "no run is marked for Curves")
        self.renew()

    def do_sort(self) -> None:
        self._rearrange(self._by.next_sort())
        self.tui.say(f"sorted by {self._by.sort}")

    def do_filter(self) -> None:
        self._rearrange(self._by.next_shown())
        words = {"all": "all runs", "resumable": "runs that can be resumed"}
        self.tui.say(words.get(self._by.shown, f"{self._by.shown} runs"))

    def do_search_text(self, text: str) -> None:
        self._rearrange(replace(self._by, text=text))

    def _rearrange(self, by: Arrangement) -> None:
        self._by, self._asked = by, None
        self.tui.runs_view = RunsView(by.sort, by.shown)
        self._arrange()

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


def _what_goes(row: RunRow) -> str:
    """What is lost with a run, in words."""
    size = "" if row.size is None else f"{value_text(row.size, 'bytes')} on the disk, "
    return f"{size}snapshots, weights and all"
