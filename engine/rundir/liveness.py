"""Whether a run's engine is alive, seen from any host, and how the run stands."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property

from engine.errors import UsageError
from engine.events import (
    AnyEvent,
    CheckpointSaved,
    Failed,
    Finished,
    Paused,
    Phase,
    Resumed,
    RunStarted,
    SnapshotTaken,
    Step,
    Stopped,
)
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from engine.rundir.process import Owner, is_alive_here, is_suspended_here, is_this_host, read_owner
from engine.storage.safe_open import open_regular, read_at, read_small

HEARTBEAT_SECONDS = 2.0
SILENT_SECONDS = 15.0
DEAD_SECONDS = 60.0
REBOOTED_SECONDS = 8.0
"""How long a heartbeat must stand still where the same host runs under another boot: its old processes are gone, but
another machine might have the same name."""
GONE_SECONDS = 5.0
LAST_WORDS = 300


class HeartbeatReader:
    """Watches the heartbeat by the reader's own monotonic clock, which no clock change can step back."""

    def __init__(self, run: RunDir) -> None:
        self._file = run.heartbeat_file
        self._value: bytes | None = None
        self._since: float | None = None
        self.seen_to_beat = False

    def silent_for(self) -> float:
        """Seconds since the counter was last seen to change, or since the first look."""
        try:
            value: bytes | None = read_small(self._file, 64)
        except OSError:
            value = None
        now = time.monotonic()
        if self._since is not None and value == self._value:
            return now - self._since
        self.seen_to_beat = self._since is not None and value is not None
        self._value, self._since = value, now
        return 0.0


class State(StrEnum):
    """How a run stands."""

    STARTING = "starting"
    LIVE = "live"
    PAUSED = "paused"
    SILENT = "silent"
    DEAD = "dead"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


OVER = frozenset({State.FINISHED, State.STOPPED, State.FAILED, State.DEAD})
"""States in which no engine is at work."""
Ending = Finished | Stopped | Failed
WORK = (RunStarted, Phase, Step, SnapshotTaken, CheckpointSaved, Paused, Resumed)
"""Events of an engine at work: after the end of a run, the first one of these belongs to an engine that resumed it."""


def ending_after(before: Ending | None, event: AnyEvent) -> Ending | None:
    """How a run has ended once `event` is in its log, None while it goes on; `before` is the same before `event`.

    What is neither an ending nor work (an answer to a late command, a warning, events of a newer version) changes
    nothing.
    """
    if isinstance(event, Ending):
        return event
    return None if isinstance(event, WORK) else before


class RunStatus:
    """How a run stands, by its events and its owner. One for each reader; `update` it with new events."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._heartbeat = HeartbeatReader(run)
        self._ending: Finished | Stopped | Failed | None = None
        self._paused = False
        self._began = False
        self._since = time.monotonic()
        self._gone_since: float | None = None

    def update(self, events: Iterable[AnyEvent]) -> None:
        """Take note of new events."""
        for event in events:
            self._ending = ending_after(self._ending, event)
            match event:
                case RunStarted():
                    self._paused, self._began = False, True
                case Paused():
                    self._paused = True
                case Resumed() | Finished() | Stopped() | Failed():
                    self._paused = False
                case _:
                    pass

    def state(self) -> tuple[State, str]:
        """The run's state and the reason, one sentence of plain text, where there is one.

        The text may quote engine.log: it comes from outside.
        """
        if self._folder_gone():
            return State.DEAD, "the run's folder is gone or can't be read"
        owner = read_owner(self._run)
        here = owner is not None and is_this_host(owner)
        alive = here and owner is not None and is_alive_here(owner)
        match self._ending:
            case Finished(reason=reason):
                return State.FINISHED, reason
            case Failed(message=message, hint=hint) if not alive:
                return State.FAILED, f"{message} {hint}".strip()
            case Stopped(reason=reason) if not alive:
                return State.STOPPED, f"{reason}; it can be resumed"
        silent = self._heartbeat.silent_for()
        if owner is None:
            return self._without_owner(silent)
        if here and not alive:
            return State.DEAD, f"the engine (process {owner.pid}) died{_last_words(self._run)}"
        if not here and silent > DEAD_SECONDS:
            return State.DEAD, f"no sign of life from {owner.host} for {silent:.0f} s{_last_words(self._run, none='')}"
        if silent > SILENT_SECONDS:
            if here and is_suspended_here(owner):
                return State.SILENT, f"the engine is suspended; let it go on: kill -CONT {owner.pid}"
            return State.SILENT, f"no sign of life for {silent:.0f} s"
        if self._paused:
            return State.PAUSED, ""
        return (State.LIVE, "") if self._began else (State.STARTING, "the engine is coming up")

    def _without_owner(self, silent: float) -> tuple[State, str]:
        if self._began and silent > DEAD_SECONDS:
            return State.DEAD, f"no sign of life for {silent:.0f} s, and nobody owns the run"
        if not self._began and self._machines > 1:
            words = _last_words(self._run, none="")
            return State.STARTING, f"waiting for torchrun or srun to start it on {self._machines} machines{words}"
        if not self._began and time.monotonic() - self._since > SILENT_SECONDS:
            return State.DEAD, f"the engine never came up{_last_words(self._run)}"
        return State.STARTING, "waiting for the engine"

    @cached_property
    def _machines(self) -> int:
        """How many machines the run was prepared for."""
        try:
            return self._run.config.nnodes
        except UsageError:
            return 1

    def _folder_gone(self) -> bool:
        """Whether the folder has been missing for a while; a network file system may lose sight of it for a moment."""
        if self._run.path.is_dir():
            self._gone_since = None
            return False
        now = time.monotonic()
        self._gone_since = now if self._gone_since is None else self._gone_since
        return now - self._gone_since > GONE_SECONDS


def _last_words(run: RunDir, *, none: str = " without a word (killed, or out of memory?)") -> str:
    """How engine.log ends, to stand behind "died"; `none` where it holds nothing."""
    try:
        fd = open_regular(run.engine_log)
    except OSError:
        return ""
    try:
        lines = read_at(fd, 4096, max(0, os.fstat(fd).st_size - 4096)).decode("utf-8", "replace").split("\n")
    except OSError:
        lines = []
    finally:
        os.close(fd)
    said = [line.strip() for line in lines if line.strip()]
    return f"; engine.log ends: {said[-1][:LAST_WORDS]}" if said else none


def ending_of(events: Iterable[AnyEvent]) -> Ending | None:
    """How the run of these events has ended; None where it goes on."""
    ending: Ending | None = None
    for event in events:
        ending = ending_after(ending, event)
    return ending


def has_ended(run: RunDir) -> bool:
    """Whether the log says that the run has ended."""
    return ending_of(read_events(run.events_file)) is not None


def is_live(run: RunDir) -> bool:
    """Whether an engine is at work on the run.

    For an engine of another host (or of this one before a reboot) this takes until its heartbeat is seen to change,
    or has stood still long enough to prove it dead: up to DEAD_SECONDS.
    """
    owner = read_owner(run)
    if owner is None:
        return False
    if is_this_host(owner):
        return is_alive_here(owner)
    return not has_ended(run) and beats(run, owner)


def beats(run: RunDir, owner: Owner) -> bool:
    """Wait until the heartbeat of an owner elsewhere is seen to change (True) or proves it dead (False)."""
    needed = REBOOTED_SECONDS if owner.host == platform.node() else DEAD_SECONDS
    heartbeat = HeartbeatReader(run)
    while heartbeat.silent_for() < needed:
        if heartbeat.seen_to_beat:
            return True
        time.sleep(HEARTBEAT_SECONDS / 4)
    return False
