"""Following a run: what is new in it is read in threads and shown; where the user was in it is remembered."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.events import CommandDone
from engine.rundir.layout import RunDir
from engine.rundir.liveness import OVER, State
from tui.drawing.text import plain
from tui.model.gpu import Gpu, GpuMeter, gpus_of
from tui.model.viewer import Viewer
from tui.review import Reviewing
from tui.screens.registry import SCREENS
from tui.settings import SavedView, Settings, load_runs_view, load_view, save_runs_view, save_view
from tui.terminal.notice import notice
from tui.view_state import RunsView, ViewState

POLL_SECONDS = 0.5
GPU_SECONDS = 2.0
NOTICE = 200
"""Longest text of a notice, in characters."""


class Following(Reviewing):
    """The part of the app that keeps up with the run of its `viewer`, and changes to another one."""

    settings: Settings
    view_name: str
    only_run: Path | None

    def __init__(self, *, remember: bool, **options: Any) -> None:
        """`remember`: where the user was in a run is kept for the next time."""
        super().__init__(**options)
        self.gpus: list[Gpu] = []
        self._meter = GpuMeter()
        self._remember = remember
        self._saved: SavedView | None = None
        self._polling = False
        self.runs_view = load_runs_view() if remember else RunsView()

    def is_refused(self, view: str) -> bool:
        """Whether a view is for those alone who may do more than look."""
        raise NotImplementedError

    def progressed(self) -> None:
        """Training went on, and nothing else is new: draw only what shows it."""
        raise NotImplementedError

    def follow_run(self) -> None:
        """Begin to poll."""
        self.set_interval(POLL_SECONDS, self.poll)
        self.set_interval(GPU_SECONDS, self._ask_gpus)
        self.call_after_refresh(self.poll)

    def open_run(self, path: Path) -> None:
        """Watch another run from now on. Raises UsageError where there is none, or it may not be seen."""
        if self.only_run is not None and RunDir(path).path != self.only_run:
            raise UsageError(f"{path.name}: another run than the one that is shown here.")
        viewer = Viewer(path)
        self.save_state()
        self._stop_playing()
        if self.viewer is not None:
            self.viewer.close()
        self.viewer, self.view_state, self._given = viewer, ViewState(), []
        self.come_back()
        self.show_view("journey")
        self.run_worker(self.poll(), exclusive=False)

    def come_back(self) -> None:
        """Take the place up again where the user left this run."""
        assert self.viewer is not None
        self._saved = load_view(self.viewer.run.path) if self._remember else None
        if self._saved is not None:
            self.view_state = self._saved.view_state()
            if self._saved.view in SCREENS and not self.is_refused(self._saved.view):
                self.view_name = self._saved.view

    def save_state(self) -> None:
        """Remember where the user is in the run, and how runs are listed."""
        if self._remember:
            save_runs_view(self.runs_view)
        if self.viewer is None or not self._remember or self.last_snapshot < 0:
            return
        save_view(self.viewer.run.path, SavedView.of(self.view_state, self.view_name))

    async def poll(self) -> None:
        """Look what is new in the run, and show it."""
        viewer = self.viewer
        if viewer is None or self._polling:
            return
        self._polling = True
        try:
            # In threads: a network file system may take its time, and so do many examples.
            news = await asyncio.to_thread(viewer.poll)
            became_ready = not viewer.ready and await asyncio.to_thread(viewer.prepare)
            if viewer is not self.viewer or not self.is_running:
                return
            known, before = len(viewer.snapshots), (viewer.snapshots[-1:], viewer.state, viewer.verdicts)
            changed = viewer.apply(news)
            self._notify(before[1])
            if became_ready:
                self._find_example()
                # What is loaded now stays: to look through it for garbage would take longer than a flip.
                gc.freeze()
            if len(viewer.snapshots) > known:
                self._new_snapshots(first=not known)
            self.view_state.snapshot = min(self.view_state.snapshot, max(0, self.last_snapshot))
            self._tell_news()
            now = (viewer.snapshots[-1:], viewer.state, viewer.verdicts)
            if became_ready or now != before or not viewer.snapshots:
                self.changed()
            elif changed or viewer.state not in OVER:
                self.progressed()
        finally:
            self._polling = False

    async def _ask_gpus(self) -> None:
        viewer = self.viewer
        if viewer is None:
            return
        gpus = await asyncio.to_thread(gpus_of, viewer.run, self._meter)
        if gpus != self.gpus and viewer is self.viewer and self.is_running:
            self.gpus = gpus
            self.progressed()

    def _notify(self, before: State) -> None:
        """Bell and notice where the run ended, or failed by its first wrong number, and nobody looks."""
        assert self.viewer is not None
        ended = self.viewer.state in OVER and before not in OVER and before is not State.STARTING
        if ended and self.settings.notify and not self.app_focus:
            text = f"{self.viewer.state} {self.viewer.reason}".strip()
            self.send_to_terminal(notice(plain(self.viewer.run.name, NOTICE), plain(text, NOTICE)))

    def _find_example(self) -> None:
        assert self.viewer is not None
        examples, probe = self.viewer.examples, self.viewer.config.probe
        if self._saved is None and probe:
            found = (n for n, example in enumerate(examples) if probe in (example.id, example.question))
            self.view_state.example = next(found, 0)
        self.view_state.example = min(self.view_state.example, max(0, len(examples) - 1))

    def _new_snapshots(self, *, first: bool) -> None:
        assert self.viewer is not None
        if first and self._saved is not None and self._saved.snapshot >= 0:
            self.view_state.snapshot = min(self._saved.snapshot, self.last_snapshot)
        elif self.view_state.following and not self.playing:
            self.view_state.snapshot = self.last_snapshot
        elif not first:
            self.say(f"{self.viewer.snapshots[-1].label} is ready: f follows")

    def _tell_news(self) -> None:
        assert self.viewer is not None
        for event in self.viewer.pop_notices():
            if isinstance(event, CommandDone):
                self.say(f"{event.command}: {event.outcome}")
            else:
                self.say(f"{event.message} {event.hint}".strip())
