"""A run as the screens need it: followed by polling, read lazily, never held whole. Knows no screen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.config import RunConfig
from engine.data.examples import Example
from engine.errors import UserError
from engine.events import (
    AnyEvent,
    CommandDone,
    Phase,
    RunStarted,
    SnapshotTaken,
    Step,
    Warned,
)
from engine.insight.probability import with_probabilities
from engine.insight.scoring import is_by_character
from engine.insight.spans import AnswerRules, Candidate, n_best
from engine.rundir.eval_set import EvalSet, Tokens
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.snapshot import Prediction, Snapshot, snapshot_event
from engine.rundir.status import Look, RunFollower
from engine.rundir.verdicts import Verdict, Verdicts, read_verdicts
from tui.model.insight import Insight

Scores = NDArray[np.float32]
OPEN_SNAPSHOTS = 6
N_BEST = 20


@dataclass(frozen=True)
class News:
    """What one look at a run found, snapshots that stand in its folder without an event, and the user's verdicts."""

    look: Look
    found: tuple[SnapshotTaken, ...] = ()
    verdicts: Verdicts = field(default_factory=Verdicts)


class Viewer:
    """Follows one run. `poll` and `prepare` may be called from a thread; all else is cheap and for the screens."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where there is no run at `path`."""
        self.run = RunDir(path)
        self.config: RunConfig = self.run.config
        self.state, self.reason = State.STARTING, "waiting for the engine"
        self.started: RunStarted | None = None
        self.phase: Phase | None = None
        self.snapshots: list[SnapshotTaken] = []
        self.steps: list[Step] = []
        self.warnings: list[Warned] = []
        self.verdicts = Verdicts()
        self.insight = Insight(self.run)
        self._notices: list[CommandDone | Warned] = []
        self._fresh = False
        self._searched = False
        self.ready = False
        self._by_character: bool | None = None
        """Whether the examples are loaded."""
        self._follower = RunFollower(self.run)
        self._set: EvalSet | None = None
        self._open: OrderedDict[int, Snapshot] = OrderedDict()
        self._candidates: tuple[tuple[int, float, int], list[Candidate]] = ((-1, 0.0, -1), [])

    def refresh(self) -> bool:
        """Read what is new and make it visible; returns whether anything changed."""
        return self.apply(self.poll())

    def poll(self) -> News:
        """What is new on disk. May be called from a thread: it changes nothing that the screens look at."""
        look = self._follower.poll()
        # A run that has ended sends no more events: what its log lacks is looked for in the folder, once.
        found = tuple(self._missing_snapshots()) if look.at_end and not self._searched else ()
        return News(look, found, read_verdicts(self.run, self.verdicts))

    def apply(self, news: News) -> bool:
        """Make what `poll` found visible; returns whether anything changed."""
        look = news.look
        for event in look.events:
            self._apply_event(event)
        self._insert(news.found)
        self._fresh = True
        before = (self.state, self.reason, self.verdicts)
        self.state, self.reason = look.state, look.reason
        self.insight.folds_done = self.config.folds is not None and look.state is State.FINISHED
        if len(news.verdicts.records) >= len(self.verdicts.records):  # else one was given while this look was taken
            self.verdicts = news.verdicts
        return bool(look.events or news.found) or before != (self.state, self.reason, self.verdicts)

    def _insert(self, found: Sequence[SnapshotTaken]) -> None:
        if found:
            self.snapshots = sorted([*self.snapshots, *found], key=lambda event: event.index)

    def _apply_event(self, event: AnyEvent) -> None:
        match event:
            case RunStarted():
                self.started = event
            case Phase():
                self.phase = event
            case Step():
                # A resumed run goes over some steps again.
                while self.steps and self.steps[-1].step >= event.step:
                    self.steps.pop()
                self.steps.append(event)
            case SnapshotTaken():
                self._add(event)
            case Warned():
                self.warnings.append(event)
                self._notify(event)
            case CommandDone():
                self._notify(event)
            case _:
                pass

    def _notify(self, event: CommandDone | Warned) -> None:
        # What happened before this viewer opened the run is no news.
        if self._fresh:
            self._notices.append(event)

    def _add(self, event: SnapshotTaken) -> None:
        while self.snapshots and self.snapshots[-1].index >= event.index:
            gone = self.snapshots.pop().index
            self._forget(gone)
        self.snapshots.append(event)

    def _forget(self, index: int) -> None:
        if index in self._open:
            self._open.pop(index).close()

    def find_snapshots(self) -> None:
        """Add snapshots of the folder that have no event: the folder is the truth, the event a hint."""
        self._insert(self._missing_snapshots())

    def _missing_snapshots(self) -> list[SnapshotTaken]:
        self._searched = True
        known = {event.index for event in self.snapshots}
        found = []
        for path in sorted(self.run.snapshots.glob("*.safetensors")):
            if path.stem.isdigit() and int(path.stem) not in known:
                with suppress(UserError, OSError), Snapshot(path) as snapshot:
                    found.append(snapshot_event(snapshot.info))
        return found

    @property
    def eval_set(self) -> EvalSet | None:
        """The eval examples; None as long as the engine has not written them."""
        if self._set is None:
            try:
                self._set = EvalSet(self.run)
            except (OSError, UserError, KeyError):
                return None
        return self._set

    def prepare(self) -> bool:
        """Load the eval examples, which takes a while: call it from a thread. Returns whether there are any."""
        if not self.ready and self.examples:
            self._by_character = is_by_character(self.examples, self.config.f1)
            self.ready = True
        return self.ready

    @property
    def examples(self) -> Sequence[Example]:
        try:
            return self.eval_set.examples if self.eval_set else ()
        except UserError:
            return ()

    @property
    def seen(self) -> NDArray[np.bool_] | None:
        """bool[N]: the passage of an example stands in the training half too; None as long as there are no examples."""
        try:
            return self.eval_set.seen if self.eval_set else None
        except UserError:
            return None

    @property
    def by_character(self) -> bool:
        """Whether EM and F1 of the run count characters; False as long as there are no examples."""
        if self._by_character is None and self.examples:
            self._by_character = is_by_character(self.examples, self.config.f1)
        return bool(self._by_character)

    def snapshot(self, position: int) -> Snapshot:
        """The open file of the snapshot at `position` of the timeline. Raises OSError or DataError."""
        index = self.snapshots[position].index
        if index not in self._open:
            self._open[index] = Snapshot(self.run.inside(self.snapshots[position].file))
            while len(self._open) > OPEN_SNAPSHOTS:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(index)
        return self._open[index]

    def peek(self, position: int, tokens: Tokens) -> tuple[Scores, Scores] | None:
        """Scores of a window at a snapshot, without keeping its file open; None where it can't be read, or is not
        scored."""
        index = self.snapshots[position].index
        try:
            if index in self._open:
                return _scores_of(self._open[index], tokens)
            with Snapshot(self.run.inside(self.snapshots[position].file)) as snapshot:
                return _scores_of(snapshot, tokens)
        except (OSError, UserError):
            return None

    def windows(self, example: int) -> list[Tokens]:
        """The windows of an example, in the order of the passage."""
        data = self.eval_set
        return [data.tokens(feature) for feature in data.features_of(example)] if data else []

    def candidates(self, position: int, example: int) -> list[Candidate]:
        """The N_BEST best answers to an example at a snapshot, with their probabilities among all answers; none where
        it is not scored. Those asked for last are kept, for a token cursor that moves asks for the same again and
        again."""
        data, snapshot = self.eval_set, self.snapshot(position)
        given = snapshot.prediction(example)
        if data is None or given is None:
            return []
        key = snapshot.info.index, snapshot.info.time, example
        if self._candidates[0] != key:
            windows = [data.window(tokens, snapshot) for tokens in self.windows(example)]
            rules = AnswerRules(data.max_answer_length, allow_null=data.allow_null)
            found = with_probabilities(n_best(windows, rules, k=N_BEST), windows, rules)
            if snapshot.rounded:  # the answer was decoded before the scores were rounded
                place = (given.char_start, given.char_end)
                found.sort(key=lambda candidate: (candidate.char_start, candidate.char_end) != place)
            self._candidates = key, found
        return self._candidates[1]

    def sample_text(self, position: int) -> str:
        """For example `200 of 10,570 scored` where the snapshot at `position` is of a sample; "" where it is of all."""
        return self.snapshots[min(position, len(self.snapshots) - 1)].sample_text if self.snapshots else ""

    def predicted(self, position: int, example: int) -> Prediction | None:
        """The answer that the snapshot holds for an example; None where it is not scored. Raises OSError or
        DataError."""
        return self.snapshot(position).prediction(example)

    def neighbour(self, position: int, example: int, steps: int) -> int:
        """The example that stands `steps` after `example` (before it where that is negative), or the nearest there is;
        counted among the scored ones where the snapshot at `position` is of a sample."""
        count = len(self.examples)
        if not self.sample_text(position):
            return max(0, min(example + steps, count - 1))
        try:
            scored = np.flatnonzero(self.snapshot(position).scored)
        except (OSError, UserError):
            return example
        onward = scored[scored > example] if steps > 0 else scored[scored < example][::-1]
        return int(onward[min(abs(steps), len(onward)) - 1]) if len(onward) else example

    def verdict(self, example: int) -> Verdict | None:
        """The user's verdict on the label of an example."""
        if not len(self.verdicts) or not 0 <= example < len(self.examples):
            return None
        return self.verdicts.of("validation", self.examples[example].id)

    def pop_notices(self) -> list[CommandDone | Warned]:
        """Answers to commands and warnings that came since the last call."""
        notices, self._notices = self._notices, []
        return notices

    def close(self) -> None:
        for snapshot in self._open.values():
            snapshot.close()
        self._open.clear()
        if self._set is not None:
            self._set.close()


def _scores_of(snapshot: Snapshot, tokens: Tokens) -> tuple[Scores, Scores] | None:
    start, end = snapshot.logits(tokens.lo, tokens.hi)
    return None if snapshot.info.sampled_of is not None and np.isnan(start).all() else (start, end)
