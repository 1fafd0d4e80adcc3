"""A process of the engine that is talked to through pipes, by the records of engine.messages."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import IO, BinaryIO, cast

from engine.early import child_environment
from engine.messages import Reply, Request, decode_reply, read_bytes, write_record

CLOSE_SECONDS = 1.0
"""How long a process may take to end by itself once its standard input is closed."""


class WorkerProcess:
    """A running process; a thread takes its replies over."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=os.path.abspath(os.sep),  # a folder named datasets/ in the user's folder must not be importable
            env=child_environment(),
            start_new_session=True,  # Ctrl-C is for us
        )
        self._requests = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=_take_over, args=(self._answers, self._replies), name="answers", daemon=True
        )
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, request: Request) -> bool:
        """False where the process is no more."""
        try:
            write_record(self._requests, request)
        except (OSError, ValueError):
            return False
        return True

    def receive(self, *, block: bool) -> list[Reply | None]:
        """Replies so far; None as the last one where the process has ended."""
        found: list[Reply | None] = []
        if block:
            found.append(self._replies.get())
        with suppress(queue.Empty):
            while found[-1:] != [None]:
                found.append(self._replies.get_nowait())
        return found

    def end(self) -> tuple[int, str]:
        """End the process; returns its exit code and the last line that it wrote to standard error."""
        with suppress(OSError):
            self._requests.close()
        try:
            code = self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._thread.join(CLOSE_SECONDS)
        self._answers.close()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        self._errors.close()
        return code, lines[-1][:300] if lines else ""


def _take_over(stream: BinaryIO, replies: queue.SimpleQueue[Reply | None]) -> None:
    with suppress(OSError, ValueError):
        while (data := read_bytes(stream)) is not None:
            replies.put(decode_reply(data))
    replies.put(None)
