"""Who runs a run: one engine at a time, and whether it is alive, seen from any host."""

from __future__ import annotations

import fcntl
import os
import platform
import threading
import time
from enum import StrEnum
from pathlib import Path
from types import TracebackType

import msgspec
import psutil
from msgspec import Struct

from engine.durable import NO_FOLLOW, PRIVATE_FILE, replace_file, told_as_write_error
from engine.errors import UsageError, UserError
from engine.events import AnyEvent, Failed, Finished, Paused, Resumed, RunStarted, Stopped
from engine.run import RunDir, read_json

HEARTBEAT_SECONDS = 2.0
SILENT_SECONDS = 15.0
DEAD_SECONDS = 60.0


class Owner(Struct, frozen=True):
    """A process, so that no other one can be taken for it: the start time is in Unix seconds."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The process `pid` of this host. Raises psutil.NoSuchProcess."""
        return cls(
            host=platform.node(),
            boot_id=_boot_id(),
            pid_namespace=_pid_namespace(),
            pid=pid,
            started=psutil.Process(pid).create_time(),
        )


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


class Ownership:
    """Held by the engine of a run from its first to its last write; a heartbeat tells other hosts it lives."""

    def __init__(self, run: RunDir) -> None:
        """Take the run over. Raises UsageError when another engine has it, WriteError when it can't be written."""
        self._run = run
        with told_as_write_error(run.lock_file):
            self._fd = os.open(run.lock_file, os.O_RDWR | os.O_CREAT | NO_FOLLOW, PRIVATE_FILE)
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                os.close(self._fd)
                raise UsageError(
                    f"{run.path}: another engine is at work on this run.", hint="Watch it: bertqa-tui attach."
                ) from None
        try:
            # Where locks don't cross hosts, the word of the other host counts.
            if other_host_owner(run):
                raise UsageError(
                    f"{run.path}: an engine on another host owns this run and has not been seen to die.",
                    hint="Stop it there first.",
                )
            replace_file(run.owner_file, msgspec.json.encode(Owner.of(os.getpid())))
        except UserError:
            os.close(self._fd)
            raise
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        count = 0
        while True:
            count += 1
            try:
                temporary = self._run.path / ".heartbeat.tmp"
                temporary.write_text(f"{count}\n", "ascii")
                os.replace(temporary, self._run.heartbeat_file)
            except OSError:
                pass  # a missed beat is told by the reader's clock; training goes on
            if self._stop.wait(HEARTBEAT_SECONDS):
                return

    def release(self) -> None:
        """Give the run back."""
        self._stop.set()
        self._thread.join()
        os.close(self._fd)

    def __enter__(self) -> Ownership:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def read_owner(run: RunDir) -> Owner | None:
    """Who wrote owner.json last; None where nobody did, or it can't be read."""
    try:
        return read_json(run.owner_file, Owner)
    except UsageError:
        return None


def is_this_host(owner: Owner) -> bool:
    """Whether the owner's process table is ours, so that its pid means something here."""
    return owner.host == platform.node() and owner.boot_id == _boot_id() and owner.pid_namespace == _pid_namespace()


def is_alive_here(owner: Owner) -> bool:
    """Whether the owner's very process (not one that got its pid later) runs on this host."""
    try:
        process = psutil.Process(owner.pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - owner.started) < 1.0
    except psutil.Error:
        return False


def other_host_owner(run: RunDir) -> bool:
    """Whether an engine on another host may be at work: true until its heartbeat stood still for DEAD_SECONDS."""
    owner = read_owner(run)
    if owner is None or is_this_host(owner) or owner.host == platform.node():
        return False
    events_end = _last_ending(run)
    if events_end:
        return False
    pulse = Pulse(run)
    started = time.monotonic()
    while time.monotonic() - started < DEAD_SECONDS + HEARTBEAT_SECONDS:
        if pulse.silent_for() == 0.0:
            return True
        time.sleep(HEARTBEAT_SECONDS / 2)
    return False


def _last_ending(run: RunDir) -> bool:
    from engine.log import read_events

    events = read_events(run.events_file)
    return bool(events) and isinstance(events[-1], Finished | Stopped | Failed)


class Pulse:
    """Watches the heartbeat by the reader's own monotonic clock, which no clock change can step back."""

    def __init__(self, run: RunDir) -> None:
        self._file = run.heartbeat_file
        self._value: str | None = None
        self._since: float | None = None

    def silent_for(self) -> float:
        """Seconds since the counter was last seen to change; 0 when it just did."""
        try:
            value: str | None = self._file.read_text("ascii")[:32]
        except (OSError, UnicodeDecodeError):
            value = None
        now = time.monotonic()
        if self._since is None:
            self._value, self._since = value, now
            return 1e-9  # first look: nothing has been seen to change yet
        if value != self._value:
            self._value, self._since = value, now
            return 0.0
        return now - self._since


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


class Watch:
    """Tells how a run stands, from its events and its owner. One for each reader; `update` with new events."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._pulse = Pulse(run)
        self._ending: AnyEvent | None = None
        self._paused = False
        self._began = False
        self._since = time.monotonic()

    def update(self, events: list[AnyEvent]) -> None:
        """Take note of new events."""
        for event in events:
            match event:
                case RunStarted():
                    self._ending, self._paused, self._began = None, False, True
                case Paused():
                    self._paused = True
                case Resumed():
                    self._paused = False
                case Finished() | Stopped() | Failed():
                    self._ending, self._paused = event, False
                case _:
                    self._ending = None

    def state(self) -> tuple[State, str]:
        """The run's state and the reason, one sentence of plain text, where there is one to tell."""
        owner = read_owner(self._run)
        here = owner is not None and is_this_host(owner)
        alive = here and owner is not None and is_alive_here(owner)
        ending = self._ending
        if ending is not None and not alive:
            match ending:
                case Failed():
                    return State.FAILED, f"{ending.message} {ending.hint}".strip()
                case Stopped():
                    return State.STOPPED, f"{ending.reason}; it can be resumed"
                case _:
                    return State.FINISHED, ""
        if isinstance(ending, Finished):
            return State.FINISHED, ""
        if owner is None:
            waited = time.monotonic() - self._since
            if waited > SILENT_SECONDS and not self._began:
                return State.DEAD, "the engine never came up; engine.log says why"
            return State.STARTING, "waiting for the engine"
        if here and not alive:
            return State.DEAD, f"the engine (process {owner.pid}) died; engine.log may say why"
        silent = self._pulse.silent_for()
        if silent > DEAD_SECONDS and not here:
            return State.DEAD, f"no sign of life from {owner.host} for {silent:.0f} s"
        if silent > SILENT_SECONDS:
            return State.SILENT, f"no sign of life for {silent:.0f} s"
        if self._paused:
            return State.PAUSED, ""
        return (State.LIVE, "") if self._began else (State.STARTING, "the engine is coming up")


def is_live(run: RunDir) -> bool:
    """Whether an engine is at work on the run on this host, or seems to be on another."""
    owner = read_owner(run)
    if owner is None:
        return False
    return is_alive_here(owner) if is_this_host(owner) else not _last_ending(run)
