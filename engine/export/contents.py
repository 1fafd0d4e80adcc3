"""A run as an export reads it: its snapshots, examples and steps, all of them there already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Dataset, Example, read_examples, seen_mask
from engine.errors import DataError, UsageError
from engine.events import AnyEvent, RunStarted, Step
from engine.insight.dynamics import Dynamics
from engine.insight.scoring import is_by_character
from engine.insight.suspects import Suspect, wrong_boundary, wrong_place
from engine.rundir.dynamics import read_dynamics, snapshot_files
from engine.rundir.eval_set import EvalSet
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from engine.rundir.snapshot import Snapshot, SnapshotInfo, snapshot_name
from engine.rundir.verdicts import judged_wrong, read_verdicts


@dataclass(frozen=True)
class Contents:
    """What a run holds at this moment; `snapshots` are in the order of time. Texts are from outside."""

    run: RunDir
    snapshots: tuple[SnapshotInfo, ...]
    eval_set: EvalSet
    notes: tuple[str, ...] = ()
    """What could not be read, and what is of a sample."""

    @cached_property
    def count(self) -> int:
        """How many examples are scored."""
        return len(self.eval_set.examples)

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        return tuple(self.eval_set.examples)

    @cached_property
    def dataset(self) -> Dataset:
        return read_examples(self.run.examples_file)

    @cached_property
    def dynamics(self) -> Dynamics | None:
        """What the snapshots say of each example; None as long as no epoch is done."""
        return read_dynamics(self.run)

    @cached_property
    def suspects(self) -> tuple[list[Suspect], list[Suspect]]:
        """Examples whose label may stand in the wrong place, and those whose label may have the wrong boundary, most
        suspicious first; only those for which the model preferred another answer of the kind."""
        if self.dynamics is None:
            return [], []
        judged = judged_wrong(read_verdicts(self.run), "validation", self.examples)
        place, boundary = (rank(self.dynamics, judged) for rank in (wrong_place, wrong_boundary))
        return [one for one in place if one.answer is not None], [one for one in boundary if one.answer is not None]

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """bool[N]: the passage is one of training too."""
        return seen_mask(self.dataset)

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

    @cached_property
    def by_character(self) -> bool:
        """Whether EM and F1 count characters."""
        return is_by_character(self.examples, self.run.config.f1)

    @contextmanager
    def open(self, position: int) -> Iterator[Snapshot]:
        """The snapshot at `position` of `snapshots`."""
        with Snapshot(self.run.path / snapshot_name(self.snapshots[position].index)) as snapshot:
            yield snapshot


@contextmanager
def open_contents(run: RunDir) -> Iterator[Contents]:
    """Read what a run holds; a snapshot that is damaged is left out, with a note. Raises UsageError where there is
    none yet."""
    infos, notes = [], []
    for file in snapshot_files(run.snapshots):
        try:
            with Snapshot(file) as snapshot:
                infos.append(snapshot.info)
        except (OSError, DataError):
            notes.append(f"{file.name} can't be read and is left out")
    if not infos or not run.features_file.exists():
        raise UsageError(f"{run.path}: the run has no snapshot yet.", hint="Export it once the first one is there.")
    if sampled := [info for info in infos if info.sampled_of is not None]:
        notes.append(f"{', '.join(info.label for info in sampled)}: {sampled[0].sample_text}, an even sample")
    eval_set = EvalSet(run)
    try:
        yield Contents(run, tuple(sorted(infos, key=lambda info: info.index)), eval_set, tuple(notes))
    finally:
        eval_set.close()
