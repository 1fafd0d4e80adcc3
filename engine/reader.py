"""Asks a fine-tuned model: the Python face of the answering process. Needs no torch itself.

with Reader("runs/remedies-20261125T120000Z-1a2b") as reader:
    answer = reader.answer("What helps against chilblains?", "Warm the feet slowly …")
    print(answer.text, answer.probability)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from engine.answering_model import BEST, Device, decision_for, is_run, source_of
from engine.config import Precision
from engine.errors import UsageError, UserError
from engine.messages import (
    Answer,
    AnswerRequest,
    Answers,
    Decision,
    ExplainRequest,
    Explanation,
    Failure,
    Layers,
    LayersRequest,
    Load,
    Method,
    Progress,
    Ready,
    Reply,
    Request,
    ScoresWanted,
    Source,
)
from engine.rundir.checkpoints import KeptWeights, kept_weights
from engine.rundir.layout import RunDir
from engine.worker_pipe import WorkerProcess

WORKER = "engine.learning.answer"
IDLE_SECONDS = 600.0


class Reader:
    """Answers questions on passages with a model that runs in a process of its own.

    The process starts with the Reader, works on one request after the other, and ends with `close`, with this process,
    and by itself after `idle_seconds` without a request; the next request then starts another one. Not to be used by
    several threads at a time.
    """

    def __init__(
        self,
        path: str | Path,
        snapshot: int | str = BEST,
        *,
        device: Device = "auto",
        precision: Precision | None = None,
        allow_null: bool | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """Find the weights (see `source_of` for the arguments and errors) and start the process; returns at once. An
        error in loading them is raised by the first answer, or comes from `poll` as a Failure."""
        self._source_of = partial(source_of, device=device, precision=precision, allow_null=allow_null)
        self.path = path
        self.idle_seconds = idle_seconds
        self._ids = itertools.count(1)
        self._pending: dict[int, Request] = {}
        self._process: WorkerProcess | None = None
        self._load: Load
        self.ready: Ready | None = None
        """The loaded model; None while it is loading."""
        self.failure: Failure | None = None
        """Why it could not be loaded."""
        self.use(snapshot)

    @property
    def source(self) -> Source:
        """The model that answers, and how."""
        return self._load.source

    @property
    def pid(self) -> int | None:
        """The answering process's; None where none runs."""
        return None if self._process is None else self._process.pid

    def snapshots(self) -> list[KeptWeights]:
        """The checkpoints that the run keeps, by step; [] where `path` is no run."""
        return kept_weights(RunDir(Path(self.path))) if is_run(Path(self.path)) else []

    def use(self, snapshot: int | str) -> int:
        """Answer with another checkpoint of the run from now on; returns the id of the request. Raises as `source_of`.

        The process stays, so this takes the time of reading the weights.
        """
        source = self._source_of(self.path, snapshot)
        self._load = Load(id=next(self._ids), source=source)
        self.ready = self.failure = None
        return self.submit(self._load)

    # -- ask and wait -----------------------------------------------------------------------------------------

    def answer(
        self,
        question: str,
        context: str,
        *,
        n_best: int = 5,
        scores: ScoresWanted = "none",
        decision: Decision | None = None,
    ) -> Answer:
        """The answer to one question; offsets are code points of `context`.

        Raises UsageError for an empty question or passage, ModelError for a model that can't be loaded, UserError where
        the process fails.
        """
        [answer] = self.answers([(question, context)], n_best=n_best, scores=scores, decision=decision)
        return answer

    def answers(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        n_best: int = 5,
        scores: ScoresWanted = "none",
        decision: Decision | None = None,
        progress: Callable[[int, int], None] | None = None,
        empty_questions: bool = False,
    ) -> list[Answer]:
        """The answers to (question, context) pairs, computed together without padding. `progress(done, total)` counts
        windows; `empty_questions` are answered too, as evaluation does. Raises as `answer`."""
        number = self.submit_pairs(
            pairs,
            n_best=n_best,
            scores=scores,
            decision=decision,
            progress=bool(progress),
            empty_questions=empty_questions,
        )
        reply = self.wait(number, progress)
        assert isinstance(reply, Answers)
        return list(reply.answers)

    def explain(
        self,
        question: str,
        context: str,
        *,
        methods: Sequence[Method] = ("gradient",),
        steps: int = 20,
        decision: Decision | None = None,
    ) -> Explanation:
        """Which tokens of question and passage made the answer, by each of `methods` ("gradient", "integrated"), with
        the masking test of each; integrated gradients take `steps`. Raises as `answer`."""
        check_texts(question, context)
        request = ExplainRequest(
            id=self.next_id(),
            question=question,
            context=context,
            methods=tuple(methods),
            steps=steps,
            decision=decision or decision_for(self.source),
        )
        reply = self.wait(self.submit(request))
        assert isinstance(reply, Explanation)
        return reply

    def layers(
        self, question: str, context: str, *, window: int | None = None, decision: Decision | None = None
    ) -> Layers:
        """The question-answering head on every layer, in a window of the passage: that of the answer where `window` is
        None. Raises as `answer`."""
        check_texts(question, context)
        request = LayersRequest(
            id=self.next_id(),
            question=question,
            context=context,
            window=window,
            decision=decision or decision_for(self.source),
        )
        reply = self.wait(self.submit(request))
        assert isinstance(reply, Layers)
        return reply

    def wait(self, number: int, progress: Callable[[int, int], None] | None = None) -> Reply:
        """The last reply to request `number`; raises what a Failure says. Replies to others are dropped."""
        while True:
            for reply in self._received(block=True):
                if isinstance(reply, Progress) and reply.id == number and progress is not None:
                    progress(reply.done, reply.total)
                elif isinstance(reply, Failure) and reply.id in (number, self._load.id):
                    raise (self.failure or reply).error()
                elif reply.id == number and not isinstance(reply, Progress):
                    return reply

    # -- ask and look later: for an app ------------------------------------------------------------------------

    def submit_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        n_best: int = 5,
        scores: ScoresWanted = "none",
        decision: Decision | None = None,
        progress: bool = False,
        empty_questions: bool = False,
    ) -> int:
        """Ask without waiting: returns the id that the reply from `poll` carries (Answers or Failure).

        Raises UsageError for an empty question or passage.
        """
        places: dict[str, int] = {}
        questions = []
        for question, context in pairs:
            check_texts("-" if empty_questions and not question.strip() else question, context)
            questions.append((places.setdefault(context, len(places)), question))
        request = AnswerRequest(
            id=next(self._ids),
            contexts=tuple(places),
            questions=tuple(questions),
            n_best=n_best,
            scores=scores,
            decision=decision or decision_for(self.source),
            progress=progress,
        )
        return self.submit(request)

    def next_id(self) -> int:
        """A number for a request that is made elsewhere."""
        return next(self._ids)

    def submit(self, request: Request) -> int:
        """Send any request, starting the process where there is none; returns its id at once.

        Raises UsageError for one that is too large.
        """
        self._pending[request.id] = request
        try:
            if self._process is None:
                self._start()
            elif not self._process.send(request):
                self._restart()
        except UsageError:
            del self._pending[request.id]
            raise
        return request.id

    def poll(self) -> list[Reply]:
        """The replies that came since the last call; never waits."""
        return self._received(block=False)

    def close(self) -> None:
        """End the process; what it still computes is lost. May be called again."""
        process, self._process = self._process, None
        self._pending.clear()
        if process is not None:
            process.end()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the process -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start a process, and send it the model and all that is not answered yet."""
        self._process = WorkerProcess(WORKER, "--idle", str(self.idle_seconds))
        waiting = [request for request in self._pending.values() if request.id != self._load.id]
        first: list[Request] = [self._load]
        self._pending = {request.id: request for request in first + waiting}
        for request in self._pending.values():
            self._process.send(request)

    def _restart(self) -> None:
        if self._process is not None:
            self._process.end()
        self._start()

    def _received(self, *, block: bool) -> list[Reply]:
        """Replies, at least one with `block`. A process that was idle and ended is started again for what is pending;
        of one that died, every pending request fails."""
        if self._process is None:
            if block:
                raise UsageError("this Reader is closed.")
            return []
        found: list[Reply] = []
        for reply in self._process.receive(block=block):
            if reply is None:
                return found + self._ended()
            if not isinstance(reply, Progress):
                self._pending.pop(reply.id, None)
            if isinstance(reply, Ready) and reply.id == self._load.id:
                self.ready = reply
            if isinstance(reply, Failure) and reply.id == self._load.id:
                self.failure = reply
            found.append(reply)
        return found

    def _ended(self) -> list[Reply]:
        process = self._process
        assert process is not None
        code, said = process.end()
        self._process = None
        self.ready = None
        if not self._pending:
            return []
        if code == 0:
            self._start()
            return []
        error = UserError(
            f"the answering process ended ({_how(code)}){f': {said}' if said else ''}.",
            hint="Was it out of memory? A smaller batch, a shorter passage or --device cpu may help."
            if code < 0
            else "",
        )
        failed: list[Reply] = [Failure.of(number, error) for number in self._pending]
        self._pending.clear()
        return failed


def check_texts(question: str, context: str) -> None:
    """Raise UsageError for what can't be asked."""
    for text, what, hint in (
        (question, "question", "Ask something about the passage."),
        (context, "passage", "An answer is a stretch of the passage."),
    ):
        if not text.strip():
            raise UsageError(f"the {what} is empty.", hint=hint)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UsageError(
                f"the {what} holds half a surrogate pair at character {error.start}, which is no text."
            ) from None


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
