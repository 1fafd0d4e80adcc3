"""A run as one row of a list, for `bertqa-tui runs` and the Runs screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.events import AnyEvent, Finished, Phase, RunStarted, SnapshotTaken, Step
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State

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


class RunRow(Struct, frozen=True):
    """One run: `epoch` of `epochs` done, `best` the highest mean of start and end accuracy so far (0 to 1). With
    unanswerable questions also that snapshot's F1 (0 to 100) of questions with and without an answer. `title`, `note`
    and `tags` are the user's; `size` is in bytes on the disk, where it was measured."""

    name: str
    path: str
    state: State
    reason: str
    dataset: str
    model: str
    epoch: float
    epochs: int
    best: float | None
    has_answer_f1: float | None = None
    no_answer_f1: float | None = None
    title: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    size: int | None = None


def first_row(run: RunDir) -> RunRow:
    """The row of a run of which no event is known. Raises UserError where the run's config can't be read."""
    config = run.config
    return RunRow(
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


def row_after(row: RunRow, event: AnyEvent) -> RunRow:
    """The row once `event` is known."""
    match event:
        case RunStarted():
            return msgspec.structs.replace(row, model=event.model)
        case Step() | Finished():
            return msgspec.structs.replace(row, epoch=max(row.epoch, event.epoch))
        case SnapshotTaken(sampled_of=None):
            score = event.metrics.mean_accuracy
            row = msgspec.structs.replace(row, epoch=max(row.epoch, event.epoch))
            if row.best is not None and score <= row.best:
                return row
            apart = {name: getattr(event.metrics, name) for name in ("has_answer_f1", "no_answer_f1")}
            return msgspec.structs.replace(row, best=score, **apart)
        case _:
            return row


def apart_text(row: RunRow) -> str:
    """F1 of the best snapshot on questions with and without an answer; "" where all have one."""
    if row.has_answer_f1 is None or row.no_answer_f1 is None:
        return ""
    return f"HasAns F1 {row.has_answer_f1:.1f}, NoAns F1 {row.no_answer_f1:.1f}"


def notes_text(row: RunRow, *, tags_only: bool = False) -> str:
    """The user's tags and note on one line: plain() it."""
    return " ".join([*(f"#{tag}" for tag in row.tags), *([] if tags_only or not row.note else [row.note])])


def phase_text(phase: Phase) -> str:
    """What an engine does now, such as `tokenizing 40 %` or `fold 2 of 5, training 40 %`."""
    share = f" {100 * phase.done / phase.total:.0f} %" if phase.total and phase.done < phase.total else ""
    part = f"{phase.part}, " if phase.part else ""
    return f"{part}{phase.name}{share}"


def summary(rows: Sequence[RunRow]) -> str:
    """How many runs there are and how they stand, in words."""
    if not rows:
        return "no runs"
    counts = [(sum(row.state is state for row in rows), word) for state, word in STATE_WORDS.items()]
    parts = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"{len(rows)} run{'s' if len(rows) > 1 else ''}: {parts}"


def progress_text(row: RunRow) -> str:
    """Epochs done of those asked for."""
    done = f"{row.epoch:.1f}".removesuffix(".0")
    return f"{done}/{row.epochs}"
