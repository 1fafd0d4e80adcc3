"""What the snapshots of the run that is watched say of its examples together: dynamics, and the lists of suspects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Example, read_examples, seen_mask
from engine.errors import UserError
from engine.events import SnapshotTaken
from engine.insight.dynamics import Dynamics, counts
from engine.insight.suspects import Kind, Suspect, wrong_boundary, wrong_place
from engine.rundir.dynamics import read_dynamics
from engine.rundir.layout import RunDir
from engine.rundir.verdicts import Verdicts, judged_wrong

Key = tuple[tuple[int, float], ...]


def key_of(snapshots: Sequence[SnapshotTaken]) -> Key:
    """Names the snapshots that dynamics are made of: another key, other dynamics."""
    return tuple((event.index, event.time) for event in snapshots if counts(event.epoch))


class Insight:
    """Dynamics and suspects of one run, kept until an epoch or a verdict is added."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self.dynamics: Dynamics | None = None
        self.seen: NDArray[np.bool_] | None = None
        """bool[N]: the passage of an example stands in the training half too."""
        self.trouble = ""
        self.reading = False
        self._key: Key | None = None
        self._ranked: dict[Kind, tuple[Dynamics, Verdicts, list[Suspect]]] = {}

    def begin(self, snapshots: Sequence[SnapshotTaken]) -> bool:
        """Whether there is something new to `read`, which the caller must do then: nobody else will."""
        if self.reading or key_of(snapshots) == self._key:
            return False
        self.reading = True
        return True

    def read(self, snapshots: Sequence[SnapshotTaken]) -> None:
        """Read the dynamics of the snapshots that count, which takes a while: call it from a thread."""
        key = key_of(snapshots)
        try:
            if self.seen is None:
                self.seen = seen_mask(read_examples(self._run.examples_file))
            self.dynamics = read_dynamics(self._run)
            self.trouble = ""
        except (OSError, UserError) as error:
            self.trouble = f"the snapshots can't be read: {error}"
        finally:
            self._key, self.reading = key, False

    def suspects(self, kind: Kind, verdicts: Verdicts, examples: Sequence[Example]) -> list[Suspect]:
        """The list of a kind in the light of the verdicts, without the examples that have one."""
        dynamics = self.dynamics
        if dynamics is None:
            return []
        kept = self._ranked.get(kind)
        if kept is None or kept[0] is not dynamics or kept[1] is not verdicts:
            judged = judged_wrong(verdicts, "validation", examples)
            found = wrong_place(dynamics, judged) if kind == "place" else wrong_boundary(dynamics, judged)
            kept = self._ranked[kind] = dynamics, verdicts, found
        return kept[2]
