"""A run as an export reads it: its snapshots, examples and steps, all of them there already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Dataset, Example, read_examples
from engine.errors import UsageError
from engine.events import AnyEvent, RunStarted, Step
from engine.insight.scoring import is_by_character
from engine.rundir.eval_set import EvalSet
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from engine.rundir.snapshot import Snapshot, SnapshotInfo, snapshot_name


@dataclass(frozen=True)
class Contents:
    """What a run holds at this moment; `snapshots` are in the order of time. Texts are from outside."""

    run: RunDir
    snapshots: tuple[SnapshotInfo, ...]
    eval_set: EvalSet

    @property
    def count(self) -> int:
        """How many examples are scored."""
        return len(self.eval_set.examples)

    @property
    def examples(self) -> tuple[Example, ...]:
        return tuple(self.eval_set.examples)

    @cached_property
    def dataset(self) -> Dataset:
        return read_examples(self.run.examples_file)

    @cached_property
    def events(self) -> list[AnyEvent]:
        return read_events(self.run.events_file)

    @property
    def started(self) -> RunStarted | None:
        """How the engine began, the last time it did."""
        return next((event for event in reversed(self.events) if isinstance(event, RunStarted)), None)

    @cached_property
    def steps(self) -> list[Step]:
        """Every optimiser step once: a resumed run goes over some again."""
        last: dict[int, Step] = {}
        for event in self.events:
            if isinstance(event, Step):
                last[event.step] = event
        return [last[step] for step in sorted(last)]

    @property
    def by_character(self) -> bool:
        """Whether EM and F1 count characters."""
        return is_by_character(self.examples, self.run.config.f1)

    @contextmanager
    def open(self, position: int) -> Iterator[Snapshot]:
        """The snapshot at `position` of `snapshots`."""
        with Snapshot(self.run.path / snapshot_name(self.snapshots[position].index)) as snapshot:
            yield snapshot

    @cached_property
    def feature_count(self) -> NDArray[np.int64]:
        """Windows of each example, int64[N]."""
        return np.bincount(self.eval_set.feature_example, minlength=self.count)


@contextmanager
def open_contents(path: Path) -> Iterator[Contents]:
    """Read what the run at `path` holds. Raises UsageError where it has no snapshot yet."""
    run = RunDir(path)
    infos = []
    for file in sorted(run.snapshots.glob("*.safetensors")):
        with Snapshot(file) as snapshot:
            infos.append(snapshot.info)
    if not infos or not run.features_file.exists():
        raise UsageError(f"{path}: the run has no snapshot yet.", hint="Export it once the first one is there.")
    eval_set = EvalSet(run)
    try:
        yield Contents(run, tuple(sorted(infos, key=lambda info: info.index)), eval_set)
    finally:
        eval_set.close()
