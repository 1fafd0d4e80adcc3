"""Follows a run and gives a tracker what is new, until the run has ended."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue

import msgspec
from msgspec import Struct

from engine.data.examples import read_examples
from engine.errors import UserError
from engine.events import AnyEvent, Metrics, SnapshotTaken, Step, metric_table
from engine.rundir.layout import RunDir, read_json
from engine.rundir.snapshot import Snapshot, snapshot_name
from engine.rundir.status import POLL_SECONDS, RunFollower
from engine.storage.atomic_io import replace_file
from engine.trackers.base import Tracker

MOST_WAITING = 10_000
"""How many events may wait for a slow tracker."""
PATIENCE = 60.0
"""Seconds that a tracker has for an event when so many wait, and for all of them after the run's end."""
MOST_ROWS = 200
"""Rows of a table of predictions."""
COLUMNS = ("id", "question", "expected", "predicted", "EM", "F1")
Tell = Callable[[str], None]


class Reported(Struct, frozen=True):
    """The number of the last event that a tracker has: a resumed run goes on after it."""

    seq: int = 0


def mirror(
    run: RunDir, tool: str, make: Callable[[], Tracker], *, tell: Tell = print, patience: float = PATIENCE
) -> int:
    """Give the tracker that `make` opens every event of the run that it does not have yet; returns an exit code.

    What the tracker raises ends this with a line for `tell`; a tracker that hangs is left behind, in a thread.
    """
    _, kept, _ = run.tracker_files(tool)
    waiting: Queue[AnyEvent | None] = Queue(MOST_WAITING)
    problems: list[str] = []

    def work() -> None:
        try:
            _report(run, make(), waiting, kept)
        except BaseException as error:  # a tracker may raise anything
            problems.append(f"{tool}: {type(error).__name__}: {error}")

    thread = threading.Thread(target=work, name=tool, daemon=True)
    thread.start()
    follower = RunFollower(run)
    last = _last_reported(kept)
    with suppress(Full):
        while thread.is_alive():
            look = follower.poll()
            for event in look.events:
                if event.seq > last and thread.is_alive():
                    waiting.put(event, timeout=patience)
            if look.at_end:
                waiting.put(None, timeout=patience)
                break
            if not look.events:
                time.sleep(POLL_SECONDS)
        thread.join(patience)
    if thread.is_alive():
        problems.append(f"{tool}: took nothing for {patience:g} s and was left behind")
    for problem in problems:
        tell(f"{problem}; the run itself goes on")
    return 1 if problems else 0


def _report(run: RunDir, tracker: Tracker, waiting: Queue[AnyEvent | None], kept: Path) -> None:
    last = 0
    while True:
        event = waiting.get()
        if event is not None:
            give(run, tracker, event)
            last = event.seq
        if last and (event is None or waiting.empty()):
            tracker.flush()
            replace_file(kept, msgspec.json.encode(Reported(last)), sync=False)
        if event is None:
            tracker.close()
            return


def _last_reported(kept: Path) -> int:
    with suppress(OSError, UserError):
        return read_json(kept, Reported).seq
    return 0


def give(run: RunDir, tracker: Tracker, event: AnyEvent) -> None:
    """Give a tracker what an event holds for it."""
    match event:
        case Step():
            names = ("loss", "learning_rate", "grad_norm", "examples_per_second", "tokens_per_second", "epoch")
            values = {f"train/{name}": float(getattr(event, name)) for name in names}
            tracker.scalars(_finite(values), event.step, event.time)
        case SnapshotTaken(index=0, sampled_of=int()):
            pass  # a first look: the whole comes under the same index
        case SnapshotTaken():
            values = {}
            name = "eval" if event.sampled_of is None else "eval_sample"  # never joined with the whole set
            for part, metrics in (
                (name, event.metrics),
                (f"{name}_seen", event.seen),
                (f"{name}_unseen", event.unseen),
            ):
                if metrics is not None:
                    values |= _scores(part, metrics)
            tracker.scalars(_finite(values), event.step, event.time)
            with suppress(OSError, UserError):  # the snapshot may be gone by now
                tracker.table(COLUMNS, predictions(run, event.index), event.step)
        case _:
            pass


def _scores(part: str, metrics: Metrics) -> dict[str, float]:
    return {f"{part}/{name}": float(value) for name in metric_table() if (value := getattr(metrics, name)) is not None}


def _finite(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def predictions(run: RunDir, index: int) -> list[tuple[str | float, ...]]:
    """The answers of a snapshot to the first examples, a row of COLUMNS each. Raises OSError, DataError."""
    rows: list[tuple[str | float, ...]] = []
    with Snapshot(run.path / snapshot_name(index)) as snapshot:
        exact, f1 = snapshot.column("exact_match"), snapshot.column("f1")
        for number, example in enumerate(read_examples(run.examples_file).eval[: min(MOST_ROWS, snapshot.n_examples)]):
            found = snapshot.prediction(number)
            if found is None:
                continue
            answer = example.context[found.char_start : found.char_end] if found.char_start >= 0 else ""
            gold = example.answers[0].text if example.answers else ""
            rows.append(
                (example.id, example.question, gold, answer, 100.0 * float(exact[number]), 100.0 * float(f1[number]))
            )
    return rows
