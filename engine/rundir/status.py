"""The one way to follow a run: what its log says that is new, and how the run stands."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events import AnyEvent
from engine.rundir.layout import RunDir
from engine.rundir.liveness import OVER, RunStatus, State
from engine.rundir.log import RETRY_SECONDS, EventTail

POLL_SECONDS = 0.25
"""How often a reader that waits for events looks."""


@dataclass(frozen=True)
class Look:
    """What one look at a run found: new events, how the run stands and why.

    `at_end` is True when no engine is at work and nothing is left to read. `reason` may quote text from outside.
    """

    events: tuple[AnyEvent, ...]
    state: State
    reason: str
    at_end: bool


class RunFollower:
    """Follows one run by polling. Every reader of a run has one of its own."""

    def __init__(self, run: RunDir, *, patience: float = RETRY_SECONDS) -> None:
        """A bad line of the log is tried again for `patience` seconds before it is skipped."""
        self._tail = EventTail(run.events_file, patience=patience)
        self._status = RunStatus(run)

    def poll(self) -> Look:
        """What is new since the last look. Never waits, but reads files: not for an event loop."""
        events = self._read()
        state, reason = self._status.state()
        if state in OVER and (late := self._read()):  # written between the first reading and the engine's end
            events += late
            state, reason = self._status.state()
        return Look(tuple(events), state, reason, state in OVER and not events and not self._tail.waiting)

    def poll_all(self) -> Look:
        """Like `poll`, but for a log of any length the whole of it."""
        look = self.poll()
        events = list(look.events)
        while look.events:
            look = self.poll()
            events += look.events
        return Look(tuple(events), look.state, look.reason, look.at_end)

    def _read(self) -> list[AnyEvent]:
        events = self._tail.poll()
        self._status.update(events)
        return events


def current_state(run: RunDir) -> tuple[State, str]:
    """How a run stands now, and why."""
    look = RunFollower(run, patience=0.0).poll_all()
    return look.state, look.reason
