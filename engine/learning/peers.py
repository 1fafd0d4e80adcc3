"""The processes of a group watch each other: when one dies or falls silent, all end, and say which one and where.

Two threads in each process do it, whatever its main thread hangs in. All beat to rank 0 and wait for its answer, by
gloo connections of their own: one that breaks is seen at once, a silent one after `SILENT_SECONDS`. torch's
`monitored_barrier` would do the same in one call, but it names no rank where a connection breaks, and its timeout goes
on while a batch system suspends all processes: here only moments count in which this process itself runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn

import msgspec

from engine.events import Failed
from engine.learning.distributed import Group
from engine.rundir.layout import RunDir, is_run_dir
from engine.rundir.privacy import scrub
from engine.rundir.process import Owner, is_alive_here, is_this_host

BEAT_SECONDS = 0.5
SILENT_SECONDS = float(os.environ.get("_BERTQA_SILENT_SECONDS", "40"))
"""Long enough for a process that is swapped, or inside a call that lets no other thread run."""
LONGER = 1.25
"""The others wait so much longer for rank 0, which may be waiting for one of them."""
GRACE_SECONDS = 3.0
"""How long a main thread may take to end by itself before its process is ended."""
GIVE_WAY_SECONDS = 8.0
LOOK_SECONDS = 0.25
FOREVER = timedelta(days=1000)
FINE, DIED, SILENT, FAILED, OVER = range(5)
"""What rank 0 answers, with the rank concerned (for OVER: the exit code); the others send FINE or FAILED."""
END_LAUNCHER = """
import select, signal, sys
launcher, patience = int(sys.argv[1]), int(sys.argv[2])
ended = select.poll()
ended.register(launcher, select.POLLIN)
if not ended.poll(patience):
    signal.pidfd_send_signal(launcher, signal.SIGKILL)
"""
GO_ON = "The run goes on from its newest checkpoint when it is started again."


class Peers:
    """This process's watch over the others of a group of several. `report` gets what ended the run, in rank 0."""

    def __init__(self, group: Group, say: Callable[[str], None]) -> None:
        """To be made by all processes together; `say` prints a line."""
        import torch.distributed as dist

        self.report: Callable[[Failed], None] = lambda event: None
        self._group, self._say = group, say
        self._connections = dist.new_group(backend="gloo", timeout=FOREVER)
        self._limit = SILENT_SECONDS if group.rank == 0 else SILENT_SECONDS * LONGER
        self._beats = 0
        self._waits_for = 0
        self._state, self._failed_with = FINE, 0
        self._exit_code: int | None = None
        self._leaving, self._over = threading.Event(), threading.Event()
        self._fault = threading.Lock()
        beat = self._lead if group.rank == 0 else self._follow
        self._thread = threading.Thread(target=beat, name="beat", daemon=True)
        self._thread.start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def leave(self, code: int) -> int:
        """Wait until rank 0 is done, and the others know that it is; returns its exit code, here `code`."""
        if self._group.rank == 0:
            self._exit_code = code
            self._thread.join()
            return code
        self._leaving.set()
        self._over.wait()
        return self._exit_code if self._exit_code is not None else code

    def fail(self, event: Failed) -> NoReturn:
        """End the run by what happened in this process, which is not rank 0."""
        with suppress(RuntimeError):
            self._group.post(f"failure {self._group.rank}", msgspec.json.encode(event).decode())
        self._failed_with, self._state = event.exit_code, FAILED
        self._over.wait()
        self._exit(event.exit_code)

    def give_way(self, error: Exception) -> None:
        """Where `error` may come from a connection to a process that is gone, let the watch end this one: it knows
        which one, and where."""
        import torch

        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
            time.sleep(GIVE_WAY_SECONDS)

    def _lead(self) -> None:
        """Rank 0: take a beat of every other process, answer all, again and again."""
        others = range(1, self._group.world)
        failed_since: float | None = None
        while True:
            time.sleep(BEAT_SECONDS)
            code, failed = self._exit_code, 0
            for rank in others:
                self._waits_for = rank
                try:
                    (state,) = self._receive(rank, 1)
                except RuntimeError:
                    self._end_all(DIED, rank)
                self._beats += 1
                if state == FAILED:
                    failed = failed or rank
            if failed and code is None:
                # What fails in all of them is for the main thread to report.
                failed_since = failed_since or time.monotonic()
                if time.monotonic() - failed_since > GRACE_SECONDS:
                    self._end_all(FAILED, failed)
            for rank in others:
                with suppress(RuntimeError):  # the next beat says so
                    self._send(rank, FINE if code is None else OVER, code or 0)
            if code is not None:
                self._over.set()
                return

    def _follow(self) -> None:
        """The others: beat, and wait for the answer."""
        while True:
            try:
                self._send(0, self._state)
                kind, value = self._receive(0, 2)
            except RuntimeError:
                self._end_all(DIED, 0)
            self._beats += 1
            if kind == OVER:
                self._exit_code = value
                self._over.set()
                if not self._leaving.wait(GRACE_SECONDS):
                    self._say(f"rank 0 on {self._group.place_of(0)} ended the run; so does rank {self._group.rank}")
                    self._exit(value)
                return
            if kind == FAILED and value == self._group.rank:
                self._exit(self._failed_with)
            if kind != FINE:
                self._end_all(kind, value)

    def _watch(self) -> None:
        """Count how long the beats have stood still. Time in which this process did not run does not count."""
        beats, silent, looked = -1, 0.0, time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            now = time.monotonic()
            silent = silent + min(now - looked, 2 * LOOK_SECONDS) if beats == self._beats else 0.0
            beats, looked = self._beats, now
            if silent > self._limit:
                self._end_all(SILENT, self._waits_for)

    def _receive(self, rank: int, count: int) -> list[int]:
        import torch
        import torch.distributed as dist

        numbers = torch.zeros(count, dtype=torch.int64)
        work: Any = dist.irecv(numbers, src=rank, group=self._connections)
        work.wait()
        received: list[int] = numbers.tolist()
        return received

    def _send(self, rank: int, *numbers: int) -> None:
        import torch
        import torch.distributed as dist

        work: Any = dist.isend(torch.tensor(numbers, dtype=torch.int64), dst=rank, group=self._connections)
        work.wait()

    def _end_all(self, kind: int, rank: int) -> NoReturn:
        """End this process for what happened to `rank`; rank 0 tells the others, and reports it."""
        self._fault.acquire()  # by one of the two threads, and for ever
        event = self._event(kind, rank)
        self._say(f"{event.message} So ends rank {self._group.rank} on {self._group.place}.")
        if kind == SILENT:
            self._kill(self._group.members[rank])
            end_hanging_launcher()
        if self._group.rank == 0:
            self._tell_others(kind, rank)
            if self._exit_code is None:
                self.report(event)
        self._exit(self._exit_code if self._exit_code is not None else event.exit_code)

    def _tell_others(self, kind: int, about: int) -> None:
        import torch
        import torch.distributed as dist

        self._told = []  # kept until they are sent
        for rank in range(1, self._group.world):
            if rank != about or kind == FAILED:
                numbers = torch.tensor([kind, about], dtype=torch.int64)
                with suppress(RuntimeError):
                    self._told.append((numbers, dist.isend(numbers, dst=rank, group=self._connections)))
        time.sleep(BEAT_SECONDS)

    def _event(self, kind: int, rank: int) -> Failed:
        who = f"rank {rank} on {self._group.place_of(rank)}"
        if self._group.rank == 0 and kind in (DIED, FAILED):
            with suppress(RuntimeError, msgspec.MsgspecError):
                if (text := self._group.read(f"failure {rank}")) is not None:
                    event = msgspec.json.decode(text, type=Failed)
                    return msgspec.structs.replace(event, message=f"{who}: {event.message}")
        if kind == FAILED:
            return Failed(message=f"{who} failed.", hint="Its output says why.")
        if kind == DIED:
            return Failed(message=f"{who} is gone: killed, out of memory, or its machine went down.", hint=GO_ON)
        return Failed(
            message=f"{who} gave no sign of life for {self._limit:.0f} s: its machine or the network is gone, or it "
            "is suspended.",
            hint=GO_ON,
        )

    def _kill(self, member: Owner) -> None:
        """End a process that can't end itself, where it is on this machine, so that it does not keep its device."""
        if is_this_host(member) and is_alive_here(member):
            with suppress(OSError):
                os.kill(member.pid, signal.SIGKILL)

    def _exit(self, code: int) -> NoReturn:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def end_hanging_launcher() -> None:
    """End the torchrun that started this process where it does not end by itself in `SILENT_SECONDS` from now: it may
    be waiting, for many minutes, for the store of a rendezvous that is gone with its machine. One that starts its
    processes again after a fault (`--max-restarts`) is left alone."""
    if os.environ.get("TORCHELASTIC_MAX_RESTARTS") != "0" or not hasattr(os, "pidfd_open"):
        return
    with suppress(OSError):
        launcher = os.pidfd_open(os.getppid())  # names this very process, also when its pid is given to another one
        subprocess.Popen(
            [sys.executable, "-S", "-c", END_LAUNCHER, str(launcher), str(int(1000 * SILENT_SECONDS))],
            pass_fds=[launcher],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def printed_to(run: RunDir) -> Callable[[str], None]:
    """A function that prints a line to stderr and, where that goes elsewhere, also adds it to the run's engine.log."""

    def say(line: str) -> None:
        text = scrub(line) + "\n"
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
        with suppress(OSError, ValueError):
            if not is_run_dir(run.path):
                return
            fd = os.open(run.engine_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            try:
                if not os.path.sameopenfile(fd, sys.stderr.fileno()):
                    os.write(fd, text.encode())
            finally:
                os.close(fd)

    return say
