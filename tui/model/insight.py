"""What the snapshots of the run that is watched say of its examples together: dynamics, and the lists of suspects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Example, read_examples
from engine.errors import UserError
from engine.events import SnapshotTaken
from engine.insight.dynamics import Dynamics, counts
from engine.insight.evidence import Kind
from engine.insight.suspects import Suspects, wrong_boundary, wrong_place
from engine.rundir.dynamics import read_dynamics
from engine.rundir.layout import RunDir
from engine.rundir.verdicts import Half, Verdicts, judged_wrong

Key = tuple[tuple[int, float], ...]


def key_of(snapshots: Sequence[SnapshotTaken]) -> Key:
    """Names the snapshots that dynamics are made of: another key, other dynamics."""
    return tuple((event.index, event.time) for event in snapshots if counts(event.epoch) and event.sampled_of is None)


class HalfInsight:
    """Dynamics and suspects of one half of the data, the lists kept until a verdict is added."""

    def __init__(self, half: Half, dynamics: Dynamics, examples: Sequence[Example]) -> None:
        self.half, self.dynamics, self.examples = half, dynamics, examples
        self._ranked: dict[Kind, tuple[Verdicts, Suspects]] = {}

    def suspects(self, kind: Kind, verdicts: Verdicts) -> Suspects:
        """The list of a kind in the light of the verdicts, without the examples that have one."""
        kept = self._ranked.get(kind)
        if kept is None or kept[0] is not verdicts:
            judged = judged_wrong(verdicts, self.half, self.examples)
            ranked = wrong_place if kind == "place" else wrong_boundary
            kept = self._ranked[kind] = verdicts, ranked(self.dynamics, judged)
        return kept[1]


class Insight:
    """What is known of both halves of a run, kept until an epoch is added or the folds are done. Training examples are
    known where the run scores them (`track_train`, `folds`)."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self.validation: HalfInsight | None = None
        self.train: HalfInsight | None = None
        self.seen: NDArray[np.bool_] | None = None
        """bool[N]: the passage of an example stands in the training half too."""
        self.trouble = ""
        self.reading = False
        self.folds_done = False
        """Whether all folds of the run have scored their training examples: known of by whoever follows the run."""
        self._key: tuple[Key, bool] | None = None

    @property
    def dynamics(self) -> Dynamics | None:
        """Those of the evaluation examples."""
        return self.validation.dynamics if self.validation is not None else None

    def begin(self, snapshots: Sequence[SnapshotTaken]) -> bool:
        """Whether there is something new to `read`, which the caller must do then: nobody else will."""
        if self.reading or (key_of(snapshots), self.folds_done) == self._key:
            return False
        self.reading = True
        return True

    def read(
        self, snapshots: Sequence[SnapshotTaken], examples: Sequence[Example], seen: NDArray[np.bool_] | None
    ) -> None:
        """Read the dynamics of the snapshots that count, which takes a while: call it from a thread. `examples` are
        those of the evaluation half, and `seen` says which of their passages stand in the training half too."""
        key = key_of(snapshots), self.folds_done
        try:
            self.seen = seen
            train = read_dynamics(self._run, "train")
            trained: Sequence[Example] = self.train.examples if self.train is not None else ()
            if train is not None and self.train is None:
                trained = read_examples(self._run.examples_file).train
            found = read_dynamics(self._run, "eval", examples or None)
            self.validation = HalfInsight("validation", found, examples) if found is not None else None
            self.train = HalfInsight("train", train, trained) if train is not None else None
            self.trouble = ""
        except (OSError, UserError, ValueError, KeyError) as error:  # also files that do not fit each other
            self.trouble = f"the snapshots can't be read: {error}"
        finally:
            self._key, self.reading = key, False
