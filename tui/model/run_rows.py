"""What there is to say of a run in one row, for `bertqa-tui runs` and the Runs screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from engine.errors import UserError
from engine.events import AnyEvent, Finished, RunStarted, SnapshotTaken, Step
from engine.rundir.layout import RunDir, list_runs
from engine.rundir.log import read_events
from engine.rundir.ownership import State, Watch


class RunRow(Struct, frozen=True):
    """One run: `epoch` of `epochs` done, `best` the highest mean of start and end accuracy so far (0 to 1)."""

    name: str
    path: str
    state: State
    reason: str
    dataset: str
    model: str
    epoch: float
    epochs: int
    best: float | None


def run_row(path: Path) -> RunRow | None:
    """The row of the run at `path`; None where its config can't be read."""
    run = RunDir(path)
    try:
        config = run.config
    except UserError:
        return None
    events = read_events(run.events_file)
    watch = Watch(run)
    watch.update(events)
    state, reason = watch.state()
    return RunRow(
        name=run.name,
        path=str(run.path),
        state=state,
        reason=reason,
        dataset=Path(config.dataset).name,
        model=_model(events) or config.model,
        epoch=_epoch(events),
        epochs=config.epochs,
        best=_best(events),
    )


def run_rows(runs_dir: Path) -> list[RunRow]:
    """Rows of all runs in a folder, newest first."""
    return [row for path in list_runs(runs_dir) if (row := run_row(path)) is not None]


def _model(events: Sequence[AnyEvent]) -> str | None:
    return next((event.model for event in events if isinstance(event, RunStarted)), None)


def _epoch(events: Sequence[AnyEvent]) -> float:
    return max((event.epoch for event in events if isinstance(event, Step | SnapshotTaken | Finished)), default=0.0)


def _best(events: Sequence[AnyEvent]) -> float | None:
    scores = [
        (event.metrics.start_accuracy + event.metrics.end_accuracy) / 2
        for event in events
        if isinstance(event, SnapshotTaken)
    ]
    return max(scores, default=None)
