"""Two "machines" on this one: a torchrun agent for each, with ranks of the real engine."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import msgspec
import psutil

from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from engine.torchrun import PORT, TORCHRUN, on_each_machine
from tests.waiting import until

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    """What an engine of a test gets: this code, and one thread."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended; its parent may still have to take note of it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Machines:
    """Agents at work on a run, by the command that `train --nnodes` prints, each with `each` ranks; what is left of
    them is killed at the end."""

    def __init__(self, run: RunDir, *, agents: int = 2, each: int = 1, more: Mapping[str, str] | None = None) -> None:
        self.run = run
        config = msgspec.structs.replace(run.config, nnodes=agents, devices=each)
        line = on_each_machine(run, config, host="localhost").replace(f":{PORT}", f":{free_port()}")
        before, _, arguments = line.partition(" torchrun ")
        variables = dict(word.split("=", 1) for word in shlex.split(before)) | dict(more or {})
        command = [sys.executable, "-m", TORCHRUN, *shlex.split(arguments)]
        self.output = run.path.with_name(f"{run.name}.output")
        with self.output.open("ab") as output:
            self.agents = [
                subprocess.Popen(
                    command,
                    stdout=output,
                    stderr=output,
                    cwd=run.path.parent,
                    env=environment(**variables),
                    start_new_session=True,
                )
                for _ in range(agents)
            ]
        self._world = agents * each
        self._seen: dict[int, psutil.Process] = {}

    def ranks(self) -> dict[int, psutil.Process]:
        """The processes of all ranks, once they have come up."""

        def found() -> bool:
            for agent in self.agents:
                for child in psutil.Process(agent.pid).children(recursive=True):
                    try:
                        variables = child.environ()
                    except psutil.Error:
                        continue
                    if "RANK" in variables and "engine.learning.worker" in child.cmdline():
                        self._seen[int(variables["RANK"])] = child
            return len(self._seen) == self._world

        until(found, "all ranks")
        return self._seen

    def agent_of(self, rank: int) -> psutil.Process:
        """The agent that started a rank."""
        above = {process.pid for process in self.ranks()[rank].parents()}
        (pid,) = [agent.pid for agent in self.agents if agent.pid in above]
        return psutil.Process(pid)

    def suspend_side_of(self, rank: int) -> tuple[psutil.Process, ...]:
        """Suspend all processes of a rank's machine, and return them."""
        agent = self.agent_of(rank)
        side = (agent, *(process for process in self._seen.values() if agent in process.parents()))
        for process in side:
            process.suspend()
        return side

    def until_event(self, kind: str) -> None:
        """Wait until the log has such an event."""
        until(lambda: any(event.type == kind for event in read_events(self.run.events_file)), f"event {kind}")

    def until_all_are_gone(self, *, but: tuple[psutil.Process, ...] = ()) -> None:
        """Wait until no process of any rank and no agent is left."""
        agents = [psutil.Process(agent.pid) for agent in self.agents if agent.poll() is None]
        until(lambda: all(is_gone(p) for p in (*self._seen.values(), *agents) if p not in but), "the end of all")

    def __enter__(self) -> Machines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in [*self._seen.values()]:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        for agent in self.agents:
            agent.kill()
            agent.wait()
        if error is not None:
            print(self.output.read_text(errors="replace")[-8000:])
