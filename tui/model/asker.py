"""Questions of the user to the run's models: asked of an answering process, in a thread of their own, and kept.

Knows no screen. The app neither loads torch nor waits; the process starts with the Asker and ends with `close`, with
the app, and by itself when nothing is asked for a while.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import UserError

if TYPE_CHECKING:
    from engine.messages import Answer, Reply
    from engine.reader import Reader

LOOK_SECONDS, REST_SECONDS = 0.02, 0.25
KEPT_ANSWERS = 256
N_BEST = 20


class Asked(NamedTuple):
    """A question to the weights in `folder`."""

    question: str
    context: str
    folder: Path


@dataclass(frozen=True)
class Progress:
    """Windows scored so far; 0 of 0 as long as the model is loading."""

    done: int = 0
    total: int = 0


class Asker:
    """Answers the questions that were asked for last, in their order; what was answered stays.

    All but `ask` and `close` is written by the thread and only read outside it; `changes` counts what it wrote.
    """

    def __init__(self, folder: Path, *, idle_seconds: float | None = None) -> None:
        """Start the process with the weights in `folder`, so that they are loaded by the time a question is typed."""
        self.answers: OrderedDict[Asked, Answer] = OrderedDict()
        self.failed: dict[Asked, UserError] = {}
        self.progress: Progress | None = None
        """How far the question is that is being answered; None where none is."""
        self.trouble: UserError | None = None
        """Why the process could not be started."""
        self.ready = False
        """Whether a model is loaded."""
        self.pid: int | None = None
        self.changes = 0
        self._folder = folder
        self._reader: Reader | None = None
        self._at_work = threading.Lock()
        """Whoever holds it has the reader."""
        self._idle_seconds = idle_seconds
        self._wanted: tuple[Asked, ...] = ()
        self._closed = threading.Event()
        self._new = threading.Event()
        self._thread = threading.Thread(target=self._work, name="asking", daemon=True)
        self._thread.start()

    def ask(self, *wanted: Asked) -> None:
        """Ask these questions, in place of those that are not answered yet; what failed is tried again."""
        for one in wanted:
            self.failed.pop(one, None)
        self._wanted = wanted
        self._new.set()

    def settled(self, asked: Asked) -> bool:
        """Whether there is an answer or a reason why there is none."""
        return asked in self.answers or asked in self.failed

    def close(self) -> None:
        """Let thread and process end, without waiting for them."""
        self._closed.set()
        self._new.set()

    @contextmanager
    def lend(self) -> Iterator[Reader | None]:
        """Give the process to another thread for as long as the block lasts; waits for an answer that is being worked
        on. None where there is no process. Questions wait meanwhile."""
        with self._at_work:
            yield self._reader

    def join(self, seconds: float) -> bool:
        """Wait until both have ended; returns whether they have."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # -- in the thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        from engine.reader import (  # with the process machinery: not every start of the app needs it
            IDLE_SECONDS,
            Reader,
        )

        idle = IDLE_SECONDS if self._idle_seconds is None else self._idle_seconds
        try:
            while not self._closed.is_set():
                with self._at_work:
                    asked = next((one for one in self._wanted if not self.settled(one)), None)
                    try:
                        if self._reader is None:
                            folder = self._folder if asked is None else asked.folder
                            self._reader = Reader(folder, idle_seconds=idle)
                        if asked is not None:
                            self._meet(self._reader, asked)
                        else:  # take over what the process says: it is ready, or has ended
                            self._reader.poll()
                            self._tell(self._reader)
                    except UserError as error:
                        self._fail(asked, error)
                if asked is None:
                    self._rest()
        finally:
            with self._at_work:
                if self._reader is not None:
                    self._reader.close()
                    self._reader = None

    def _rest(self) -> None:
        """Nothing is asked: wait."""
        self._new.wait(LOOK_SECONDS if self._reader is not None and not self.ready else REST_SECONDS)
        self._new.clear()

    def _meet(self, reader: Reader, asked: Asked) -> None:
        """Ask one question, and wait for the reply, or until another is wanted in its place. Raises UserError."""
        self.progress = Progress()
        self.changes += 1
        if asked.folder != Path(reader.path) or reader.failure is not None:
            reader.path = asked.folder
            reader.use("best")
        number = reader.submit_pairs([(asked.question, asked.context)], n_best=N_BEST, scores="best", progress=True)
        try:
            while not self._closed.wait(LOOK_SECONDS) and asked in self._wanted:
                for reply in reader.poll():
                    if self._take(reader, asked, number, reply):
                        return
                self._tell(reader)
        finally:
            self.progress = None
            self.changes += 1

    def _take(self, reader: Reader, asked: Asked, number: int, reply: Reply) -> bool:
        """Take over what a reply to request `number` says; returns whether it was the last one. Raises UserError."""
        from engine.messages import Answers, Failure
        from engine.messages import Progress as Windows

        match reply:
            case Failure():
                if reader.failure is not None or reply.id == number:
                    raise (reader.failure or reply).error()
            case Windows(id=sent) if sent == number:
                self.progress = Progress(reply.done, reply.total)
                self.changes += 1
            case Answers(id=sent) if sent == number:
                self.answers[asked] = reply.answers[0]
                while len(self.answers) > KEPT_ANSWERS:
                    self.answers.popitem(last=False)
                return True
        return False

    def _tell(self, reader: Reader) -> None:
        ready = reader.ready is not None
        if (ready, reader.pid) != (self.ready, self.pid):
            self.ready, self.pid = ready, reader.pid
            self.changes += 1

    def _fail(self, asked: Asked | None, error: UserError) -> None:
        if asked is None:
            self.trouble = error
        else:
            self.failed[asked] = error
        self.changes += 1
