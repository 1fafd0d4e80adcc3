"""A process, named so that no other one can be taken for it: not after a reboot, not on another host."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil
from msgspec import Struct

from engine.errors import UsageError
from engine.rundir.layout import RunDir, read_json

SAME_START_SECONDS = 0.5


class Owner(Struct, frozen=True):
    """The process that runs an engine. `started` counts seconds from boot where the system reports them (Linux), so
    that setting the clock changes nothing; elsewhere it is Unix seconds."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The process `pid` of this host. Raises psutil.NoSuchProcess."""
        started = start_time(pid)
        if started is None:
            raise psutil.NoSuchProcess(pid)
        return cls(platform.node(), _boot_id(), _pid_namespace(), pid, started)


def start_time(pid: int) -> float | None:
    """When the process began, in seconds of a clock that is the same for all readers; None where there is none."""
    try:
        # The command name, in brackets, may hold anything; the fields behind it are numbers.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        pass
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


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


def is_this_host(owner: Owner) -> bool:
    """Whether the owner's process table is ours, so that its pid means something here."""
    return owner.host == platform.node() and owner.boot_id == _boot_id() and owner.pid_namespace == _pid_namespace()


def is_alive_here(owner: Owner) -> bool:
    """Whether the owner's very process (not one that got its pid later) runs on this host."""
    started = start_time(owner.pid)
    return started is not None and abs(started - owner.started) < SAME_START_SECONDS and _status(owner) != "zombie"


def is_suspended_here(owner: Owner) -> bool:
    """Whether the owner's process is held by SIGSTOP or a debugger."""
    return _status(owner) in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


def _status(owner: Owner) -> str:
    try:
        return str(psutil.Process(owner.pid).status())
    except psutil.Error:
        return "zombie"


def read_owner(run: RunDir) -> Owner | None:
    """Who wrote owner.json last; None where nobody did, or it can't be read."""
    try:
        return read_json(run.owner_file, Owner)
    except UsageError:
        return None
