"""All runs of a folder as rows that stay up to date at little cost: each log is read once and then followed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.errors import UserError
from engine.events import Phase
from engine.rundir.layout import RunDir, list_runs
from engine.rundir.liveness import State
from engine.rundir.notes import Notes, read_notes
from engine.rundir.status import RunFollower
from tui.model.run_rows import RunRow, first_row, phase_text, row_after


class _FollowedRun:
    def __init__(self, path: Path) -> None:
        """Raises UserError where the run's config can't be read."""
        self._run = run = RunDir(path)
        self._row = first_row(run)
        self._notes, self._noted = Notes(), (0, 0)
        self._follower = RunFollower(run)
        self._phase = ""

    def row(self) -> RunRow:
        look = self._follower.poll_all()
        row = self._row
        for event in look.events:
            row = row_after(row, event)
            if isinstance(event, Phase):
                self._phase = phase_text(event)
        reason = self._phase if look.state is State.LIVE and not look.reason else look.reason
        notes = self._read_notes()
        self._row = msgspec.structs.replace(
            row, state=look.state, reason=reason, title=notes.title, note=notes.note, tags=notes.tags
        )
        return self._row

    def _read_notes(self) -> Notes:
        """The user's notes, read again where the file is another one."""
        try:
            status = self._run.notes_file.lstat()
            noted = (status.st_ino, status.st_mtime_ns)
        except OSError:
            noted = (0, 0)
        if noted != self._noted:
            self._notes, self._noted = read_notes(self._run), noted
        return self._notes


class RunsFolder:
    """The runs of a folder, or `only` one of them."""

    def __init__(self, path: Path, only: Path | None = None) -> None:
        self.path, self._only = path, only
        self._followed: dict[Path, _FollowedRun] = {}

    def poll(self) -> list[RunRow]:
        """Rows of all runs there are now, newest first. Reads files: not for the event loop."""
        rows = []
        found = list_runs(self.path) if self._only is None else [self._only]
        for gone in set(self._followed) - set(found):
            del self._followed[gone]
        for path in found:
            followed = self._followed.get(path)
            if followed is None:
                try:
                    followed = self._followed[path] = _FollowedRun(path)
                except UserError:
                    continue
            rows.append(followed.row())
        return rows
