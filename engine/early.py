"""An engine's process that is started before its run is there: it imports torch while data and model are checked.

The process waits on its standard input, a socket, until it gets the run's log to print to. It ends where it never
does: its run was refused, or whoever started it is no more. Nothing here imports more than the standard library, so
that the process can be started first thing.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from engine.errors import ExitCode

WORKER = "engine.learning.worker"
WAIT = "--wait-for-run"
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


def child_environment() -> dict[str, str]:
    """This process's environment for a process of the engine, which runs in another folder, and is no rank of a group
    nor a task of a Slurm step that this process may be."""
    changes = {"TOKENIZERS_PARALLELISM": "true", "PYTHONUNBUFFERED": "1"}
    if paths := os.environ.get("PYTHONPATH"):
        changes["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep) if path)
    if folder := os.environ.get("BERTQA_CACHE_DIR"):
        changes["BERTQA_CACHE_DIR"] = os.path.abspath(folder)
    return {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES} | changes


class EarlyEngine:
    """An engine's process that waits for its run. Left as a context without `begin`, it is ended."""

    def __init__(self, worker: str, path: Path, environment: Mapping[str, str]) -> None:
        """Start the module `worker` for a run that will be in the folder `path`. Raises OSError."""
        self._ours, theirs = socket.socketpair()
        self._begun = False
        with theirs:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-P", "-m", worker, os.path.abspath(path), WAIT],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=theirs.fileno(),
                cwd=os.sep,  # a folder named datasets/ in the user's folder must not be importable
                env=child_environment() | dict(environment),
                start_new_session=True,
            )

    def begin(self, log: int) -> None:
        """Tell the process that its run is there; it prints to `log` from now on. What it printed before, even if it
        has ended since, goes there too."""
        self._begun = True
        with suppress(OSError):
            socket.send_fds(self._ours, [b"\n"], [log])
        threading.Thread(target=self._take_over, args=(os.dup(log),), name="early words", daemon=True).start()

    def _take_over(self, log: int) -> None:
        with suppress(OSError), self._ours:
            while words := self._ours.recv(1 << 16):
                os.write(log, words)
        os.close(log)

    def __enter__(self) -> EarlyEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._begun:
            self.process.kill()
            self.process.wait()
            self._ours.close()


def wait_for_run(path: Path) -> None:
    """In a process that was started early: wait for its run, and work in the run's folder and print to its log from
    then on. Does not return where the run never comes to be."""
    with socket.socket(fileno=os.dup(0)) as starter:
        begun, descriptors, _, _ = socket.recv_fds(starter, 1, 1)
    if not begun:
        os._exit(int(ExitCode.OK))
    [log] = descriptors
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in enumerate((nothing, log, log)):
        os.dup2(source, number)
    os.close(nothing)
    os.close(log)
    os.chdir(path)
