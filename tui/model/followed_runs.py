"""All runs of a folder as rows that stay up to date at little cost: each log is read once and then followed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.errors import UserError
from engine.events import AnyEvent, Finished, Phase, RunStarted, SnapshotTaken, Step
from engine.rundir.layout import RunDir, list_runs
from engine.rundir.log import EventTail
from engine.rundir.ownership import State, Watch
from tui.model.run_rows import RunRow

STATE_WORDS = {
    State.STARTING: "starting",
    State.LIVE: "live",
    State.PAUSED: "paused",
    State.SILENT: "silent",
    State.DEAD: "dead",
    State.FINISHED: "finished",
    State.STOPPED: "stopped",
    State.FAILED: "failed",
}
RUNNING = frozenset({State.STARTING, State.LIVE, State.PAUSED, State.SILENT})
RESUMABLE = frozenset({State.PAUSED, State.STOPPED, State.DEAD, State.FAILED})


class _Followed:
    """One run, followed."""

    def __init__(self, path: Path) -> None:
        """Raises UserError where the run's config can't be read."""
        run = RunDir(path)
        config = run.config
        self._tail = EventTail(run.events_file)
        self._watch = Watch(run)
        self._row = RunRow(
            name=run.name,
            path=str(run.path),
            state=State.STARTING,
            reason="",
            dataset=Path(config.dataset).name,
            model=config.model,
            epoch=0.0,
            epochs=config.epochs,
            best=None,
        )
        self._phase = ""

    def row(self) -> RunRow:
        events = self._tail.poll()
        self._watch.update(events)
        state, reason = self._watch.state()
        model, epoch, best = self._row.model, self._row.epoch, self._row.best
        for event in events:
            match event:
                case RunStarted():
                    model = event.model
                case Step() | Finished():
                    epoch = max(epoch, event.epoch)
                case SnapshotTaken():
                    epoch = max(epoch, event.epoch)
                    score = (event.metrics.start_accuracy + event.metrics.end_accuracy) / 2
                    best = score if best is None else max(best, score)
                case _:
                    self._note(event)
        if state is State.LIVE and not reason:
            reason = self._phase
        self._row = msgspec.structs.replace(self._row, state=state, reason=reason, model=model, epoch=epoch, best=best)
        return self._row

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Phase):
            share = f" {100 * event.done / event.total:.0f} %" if event.total and event.done < event.total else ""
            self._phase = f"{event.name}{share}"


class RunsFolder:
    """The runs of a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._followed: dict[Path, _Followed] = {}

    def poll(self) -> list[RunRow]:
        """Rows of all runs there are now, newest first. Reads files: not for the event loop."""
        rows = []
        found = list_runs(self.path)
        for gone in set(self._followed) - set(found):
            del self._followed[gone]
        for path in found:
            followed = self._followed.get(path)
            if followed is None:
                try:
                    followed = self._followed[path] = _Followed(path)
                except UserError:
                    continue
            rows.append(followed.row())
        return rows


def summary(rows: Sequence[RunRow]) -> str:
    """How many runs there are and how they stand, in words."""
    if not rows:
        return "no runs"
    counts = [(sum(row.state is state for row in rows), word) for state, word in STATE_WORDS.items() if state in State]
    parts = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"{len(rows)} run{'s' if len(rows) > 1 else ''}: {parts}"


def progress_text(row: RunRow) -> str:
    """Epochs done of those asked for."""
    done = f"{row.epoch:.1f}".removesuffix(".0")
    return f"{done}/{row.epochs}"
