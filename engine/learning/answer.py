"""The answering process: `python -m engine.learning.answer [--idle SECONDS]` answers the requests that it reads from
standard input (see engine.messages) on standard output, one after the other.

It ends when standard input is closed, when the process that started it is gone, and when nothing was asked for a while.
A request that can't be met is answered by a Failure; nothing that is asked ends the process.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from engine.errors import ExitCode, UsageError, UserError
from engine.learning.warm_up import warm_up as begin_importing
from engine.messages import (
    AnswerRequest,
    Answers,
    ExplainRequest,
    Failure,
    LayersRequest,
    Load,
    Progress,
    Reply,
    decode_request,
    read_bytes,
    write_record,
)
from engine.rundir.privacy import scrub

if TYPE_CHECKING:
    from engine.learning.answering import LoadedModel

IDLE_SECONDS = 600.0
LOOK_SECONDS = 0.5
END = b""


@dataclass
class Session:
    """What the process holds between requests. `send` writes a reply at once."""

    send: Callable[[Reply], None]
    loaded: LoadedModel | None = None
    cold: list[int] = field(default_factory=list)
    """Sizes of windows, in tokens, that have not been computed since the model was loaded."""

    @property
    def model(self) -> LoadedModel:
        """Raises UsageError where none is loaded."""
        if self.loaded is None:
            raise UsageError("no model is loaded.")
        return self.loaded


def _load(session: Session, request: Load) -> Reply:
    from engine.learning import answering

    began = time.monotonic()
    session.loaded = None  # so that two models are never in memory at a time
    session.loaded = answering.load(request.source)
    session.cold = list(range(session.loaded.max_length, 0, -answering.WARM_UP_STEP))
    return answering.describe(session.loaded, request.id, time.monotonic() - began)


def _answer(session: Session, request: AnswerRequest) -> Reply:
    from engine.learning import answering

    def report(done: int, total: int) -> None:
        session.send(Progress(id=request.id, done=done, total=total))

    began = time.monotonic()
    found = answering.answers(session.model, request, report if request.progress else None)
    return Answers(id=request.id, answers=found, seconds=time.monotonic() - began)


def _explain(session: Session, request: ExplainRequest) -> Reply:
    from engine.learning import explaining

    return explaining.explanation(session.model, request)


def _layers(session: Session, request: LayersRequest) -> Reply:
    from engine.learning import explaining

    return explaining.layers(session.model, request)


HANDLERS: dict[type[Any], Callable[[Session, Any], Reply]] = {
    Load: _load,
    AnswerRequest: _answer,
    ExplainRequest: _explain,
    LayersRequest: _layers,
}
"""What meets each kind of request: raises UserError, or returns the last reply."""


def serve(session: Session, waiting: queue.SimpleQueue[bytes], idle: float) -> None:
    """Meet requests until the end of the stream, or until there has been none for `idle` seconds."""
    while True:
        try:
            data = waiting.get(timeout=0 if session.cold else idle)
        except queue.Empty:
            if not session.cold:
                return
            _warm_up(session)
            continue
        if data == END:
            return
        reply = _reply(session, data)
        try:
            session.send(reply)
        except UserError as error:
            session.send(Failure.of(reply.id, error))


def _reply(session: Session, data: bytes) -> Reply:
    number = -1
    try:
        request = decode_request(data)
        number = request.id
        return HANDLERS[type(request)](session, request)
    except UserError as error:
        return Failure.of(number, error)
    except ValueError as error:
        if number == -1:
            return Failure(id=-1, message=f"not a request: {error}.", exit_code=int(ExitCode.USAGE))
        return _unforeseen(number, error)
    except Exception as error:
        return _unforeseen(number, error)


def _unforeseen(number: int, error: Exception) -> Failure:
    import torch

    print(scrub(traceback.format_exc()), file=sys.stderr, flush=True)
    text = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return Failure(
            id=number,
            message="there is not enough memory to answer.",
            hint="Ask about a shorter passage or fewer questions at a time, or choose --device cpu.",
        )
    return Failure(id=number, message=scrub(f"answering failed: {type(error).__name__}: {text}"))


def _warm_up(session: Session) -> None:
    """Compute a window of one size that was not computed yet; the next first question of that size is sooner there."""
    from engine.learning import answering

    size = session.cold.pop(0)
    try:
        answering.warm_up(session.model, size)
    except Exception:
        print(scrub(traceback.format_exc()), file=sys.stderr, flush=True)
        session.cold = []


def _read(stream: BinaryIO, waiting: queue.SimpleQueue[bytes]) -> None:
    try:
        while (data := read_bytes(stream)) is not None:
            waiting.put(data)
    except (OSError, ValueError) as error:
        print(f"standard input: {error}", file=sys.stderr, flush=True)
    waiting.put(END)


def _end_with(parent: int) -> None:
    """End this process, whatever it computes, soon after its parent is gone.

    Linux can send a signal then, but on the death of the thread that started the process: an app may start it in a
    thread that ends long before the app.
    """
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(int(ExitCode.RUN_FAILED))


def main(argv: Sequence[str] | None = None) -> int:
    """Answer until there is nothing more to do; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    idle = float(arguments[1]) if arguments[:1] == ["--idle"] and len(arguments) == 2 else IDLE_SECONDS
    # What libraries print must not get between the records. Standard input itself stays unread: its lock, which the
    # reading thread would hold, is waited for when the interpreter ends.
    requests, replies = os.fdopen(os.dup(sys.stdin.fileno()), "rb"), os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), name="requests", daemon=True).start()
    begin_importing().wait()
    try:
        serve(Session(lambda reply: write_record(replies, reply)), waiting, idle)
    except BrokenPipeError:
        return int(ExitCode.OK)  # nobody reads the answers
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
