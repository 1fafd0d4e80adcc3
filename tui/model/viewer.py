"""A run as the screens need it: followed by polling, read lazily, never held whole. Knows no screen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import RunConfig
from engine.data.examples import Example
from engine.errors import UserError
from engine.events import (
    AnyEvent,
    CommandDone,
    Failed,
    Finished,
    Phase,
    RunStarted,
    SnapshotTaken,
    Step,
    Stopped,
    Warned,
)
from engine.insight.spans import Candidate, n_best
from engine.rundir.eval_set import EvalSet, Tokens
from engine.rundir.layout import RunDir
from engine.rundir.log import EventTail
from engine.rundir.ownership import State, Watch
from engine.rundir.snapshot import Snapshot, snapshot_event

Scores = NDArray[np.float32]
OPEN_SNAPSHOTS = 6
KEPT_COLUMNS = 64
OVER = frozenset({State.FINISHED, State.STOPPED, State.FAILED, State.DEAD})
"""States in which no engine is at work."""


@dataclass(frozen=True)
class News:
    """What one look at a run found: new events, how the run stands and why, and snapshots that no event told of."""

    events: tuple[AnyEvent, ...]
    state: State
    reason: str
    found: tuple[SnapshotTaken, ...] = ()


class Viewer:
    """Follows one run. `read` and `prepare` may be called from a thread; all else is cheap and for the screens."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where there is no run at `path`."""
        self.run = RunDir(path)
        self.config: RunConfig = self.run.config
        self.state, self.reason = State.STARTING, "waiting for the engine"
        self.started: RunStarted | None = None
        self.phase: Phase | None = None
        self.ending: Finished | Stopped | Failed | None = None
        self.snapshots: list[SnapshotTaken] = []
        self.steps: list[Step] = []
        self.warnings: list[Warned] = []
        self._news: list[CommandDone | Warned] = []
        self._fresh = False
        self._searched = False
        self.ready = False
        """Whether the examples are loaded."""
        self._tail = EventTail(self.run.events_file)
        self._watch = Watch(self.run)
        self._set: EvalSet | None = None
        self._open: OrderedDict[int, Snapshot] = OrderedDict()
        self._columns: OrderedDict[tuple[int, str], NDArray[Any]] = OrderedDict()

    def poll(self) -> bool:
        """Read what is new; returns whether anything changed."""
        return self.take(self.read())

    def read(self) -> News:
        """What is new on disk. May be called from a thread: it changes nothing that the screens look at."""
        events = self._tail.poll()
        self._watch.update(events)
        state, reason = self._watch.state()
        # An ended run is told of no more: what its log lacks is looked for in the folder, once.
        found = self._missing_snapshots() if state in OVER and not self._searched and not events else ()
        return News(tuple(events), state, reason, tuple(found))

    def take(self, news: News) -> bool:
        """Make what `read` found visible; returns whether anything changed."""
        for event in news.events:
            self._take(event)
        if news.found:
            self.snapshots = sorted([*self.snapshots, *news.found], key=lambda event: event.index)
        self._fresh = True
        before = (self.state, self.reason)
        self.state, self.reason = news.state, news.reason
        return bool(news.events or news.found) or before != (self.state, self.reason)

    def _take(self, event: AnyEvent) -> None:
        match event:
            case RunStarted():
                self.started, self.ending = event, None
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
                self._tell(event)
            case CommandDone():
                self._tell(event)
            case Finished() | Stopped() | Failed():
                self.ending = event
            case _:
                pass

    def _tell(self, event: CommandDone | Warned) -> None:
        # What was said before this viewer came is no news.
        if self._fresh:
            self._news.append(event)

    def _add(self, event: SnapshotTaken) -> None:
        while self.snapshots and self.snapshots[-1].index >= event.index:
            gone = self.snapshots.pop().index
            self._forget(gone)
        self.snapshots.append(event)

    def _forget(self, index: int) -> None:
        if index in self._open:
            self._open.pop(index).close()
        for key in [key for key in self._columns if key[0] == index]:
            del self._columns[key]

    def find_snapshots(self) -> None:
        """Take snapshots from the folder that no event told of: the folder is the truth, the event a hint."""
        self.take(News((), self.state, self.reason, tuple(self._missing_snapshots())))

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
        self.ready = self.ready or bool(self.examples)
        return self.ready

    @property
    def examples(self) -> Sequence[Example]:
        try:
            return self.eval_set.examples if self.eval_set else ()
        except UserError:
            return ()

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
        """Scores of a window at a snapshot, without keeping its file open; None where it can't be read."""
        index = self.snapshots[position].index
        try:
            if index in self._open:
                return self._open[index].logits(tokens.lo, tokens.hi)
            with Snapshot(self.run.inside(self.snapshots[position].file)) as snapshot:
                return snapshot.logits(tokens.lo, tokens.hi)
        except (OSError, UserError):
            return None

    def column(self, position: int, name: str) -> NDArray[Any]:
        """A per-example array `[N]` of the snapshot at `position`; names in engine.rundir.snapshot.COLUMNS."""
        key = (self.snapshots[position].index, name)
        if key not in self._columns:
            self._columns[key] = self.snapshot(position).column(name)
            while len(self._columns) > KEPT_COLUMNS:
                self._columns.popitem(last=False)
        self._columns.move_to_end(key)
        return self._columns[key]

    def windows(self, example: int) -> list[Tokens]:
        """The windows of an example, in the order of the passage."""
        data = self.eval_set
        return [data.tokens(feature) for feature in data.features_of(example)] if data else []

    def candidates(self, position: int, example: int, k: int = 20) -> list[Candidate]:
        """The `k` best answers to an example at a snapshot."""
        data, snapshot = self.eval_set, self.snapshot(position)
        if data is None:
            return []
        windows = [data.window(tokens, snapshot) for tokens in self.windows(example)]
        return n_best(windows, k=k, max_answer_length=data.max_answer_length, allow_null=data.allow_null)

    def predicted(self, position: int, example: int) -> Candidate | None:
        """The answer that the snapshot holds for an example (the null answer: start -1)."""
        data, snapshot = self.eval_set, self.snapshot(position)
        if data is None:
            return None

        def value(name: str) -> Any:
            return snapshot.column(name)[example]

        feature, start, end = int(value("pred_feature")), int(value("pred_start")), int(value("pred_end"))
        logits = (0.0, 0.0)
        if feature >= 0:
            lo = int(data.token_offset[feature])
            logits = (
                float(snapshot.logits(lo + start, lo + start + 1)[0][0]),
                float(snapshot.logits(lo + end, lo + end + 1)[1][0]),
            )
        return Candidate(
            feature,
            start,
            end,
            int(value("pred_char_start")),
            int(value("pred_char_end")),
            *logits,
            float(value("score")),
            1.0,
        )

    def take_news(self) -> list[CommandDone | Warned]:
        """What the user should be told since the last call: answers to commands, and warnings."""
        news, self._news = self._news, []
        return news

    def changes(self, position: int) -> NDArray[np.int8]:
        """int8[N]: 1 where an example was learned since the snapshot before (exact match now, not then), -1 where
        it was forgotten."""
        now = self.column(position, "exact_match") >= 1
        if position == 0:
            return np.zeros(len(now), np.int8)
        return (now.astype(np.int8) - (self.column(position - 1, "exact_match") >= 1)).astype(np.int8)

    def close(self) -> None:
        for snapshot in self._open.values():
            snapshot.close()
        self._open.clear()
        if self._set is not None:
            self._set.close()
