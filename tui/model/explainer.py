"""Explanations for the app: asked of an answering process, in a thread of their own, and kept. Knows no screen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from engine.errors import UsageError, UserError

if TYPE_CHECKING:
    from engine.messages import Explanation, Layers, Request
    from engine.reader import Reader
    from engine.rundir.checkpoints import KeptWeights

Lend = Callable[[], AbstractContextManager["Reader | None"]]
View = Literal["gradient", "integrated", "layers"]
LOOK_SECONDS = 0.03
KEEP_ALL = "No others are kept (--keep-weights all keeps every epoch's)."


@dataclass(frozen=True)
class Target:
    """What to explain: the answer to `question` on `context` by the run or the model at `path`.

    Of a run, the weights are those kept nearest to optimiser step `step`, where there is one; else those of
    `snapshot`, as for a Reader. `seen` names the snapshot in view.
    """

    question: str
    context: str
    path: Path | str
    snapshot: int | str = "best"
    step: int | None = None
    seen: str = ""


class Wanted(NamedTuple):
    """One explanation: by which of the kept weights (a position in Explainer.kept; 0 for a model), and which view."""

    weights: int
    view: View


class Explainer:
    """Meets one wish at a time, always the latest; what was found stays. The thread and its own process end with
    `close`.

    All but `want` and `close` is written by the thread and only read outside it; `changes` counts what it wrote.
    """

    def __init__(self, target: Target, lend: Lend | None = None) -> None:
        """`lend` gives a process that is there already; without it, or where it gives none, one is started."""
        self.target = target
        self._lend = lend
        self.kept: list[KeptWeights] = []
        """The run's kept weights, by step; [] for a model that is no run."""
        self.first = 0
        """Position of the weights that explain first: the nearest to the step in view."""
        self.found: dict[Wanted, Explanation | Layers] = {}
        self.failed: dict[Wanted, UserError] = {}
        self.trouble: UserError | None = None
        """Why nothing can be explained at all."""
        self.opened = False
        self.changes = 0
        self._wanted: Wanted | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="explanations", daemon=True)
        self._thread.start()

    def want(self, wanted: Wanted) -> None:
        """Ask for an explanation, in place of the one asked for before."""
        self._wanted = wanted

    def close(self) -> None:
        """Let thread and process end, without waiting for them."""
        self._closed.set()

    def join(self, seconds: float) -> bool:
        """Wait until both have ended; returns whether they have."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def label(self, wanted: Wanted) -> str:
        """Name of the weights, with text from outside: show() it."""
        return self.kept[wanted.weights].label if self.kept else str(self.target.path)

    def note(self, wanted: Wanted) -> str:
        """How the weights relate to the snapshot in view, and which others there are; "" for a model."""
        if not self.kept:
            return ""
        chosen, note = self.kept[wanted.weights], ""
        if self.target.step is not None and chosen.manifest.step != self.target.step:
            how = "Nearest to" if wanted.weights == self.first else "Not those of"
            note = f"{how} {self.target.seen} in view. "
        others = [_name(one) for one in self.kept if one is not chosen]
        return note + (f"Kept too: {', '.join(others)}." if others else KEEP_ALL)

    # -- in the thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        from engine.reader import Reader  # with the process machinery: not every start of the app needs it

        stack = ExitStack()
        try:
            self._choose()
            if self._closed.is_set():
                return
            loaded: int | None = self.first
            lent = stack.enter_context(self._lend()) if self._lend is not None else None
            if lent is None:
                snapshot = "best" if self.kept else self.target.snapshot
                reader = stack.enter_context(Reader(self._folder(self.first), snapshot))
            else:
                reader, loaded = lent, self._loaded_in(lent)
            self.opened = True
            self.changes += 1
            while not self._closed.wait(LOOK_SECONDS):
                wanted = self._wanted
                if wanted is None or wanted in self.found or wanted in self.failed:
                    reader.poll()
                    continue
                try:
                    if wanted.weights != loaded:
                        reader.path = self._folder(wanted.weights)
                        reader.use("best")
                        loaded = wanted.weights
                    answer = self._ask(reader, wanted.view)
                    if answer is not None:
                        self.found[wanted] = answer
                except UserError as error:
                    self.failed[wanted] = error
                self.changes += 1
        except (OSError, UserError) as error:
            self.trouble = error if isinstance(error, UserError) else UserError(str(error))
            self.changes += 1
        except Exception as error:  # a thread that ends without a word leaves the screen waiting
            self.trouble = UserError(f"explaining failed: {type(error).__name__}: {error}")
            self.changes += 1
        finally:
            stack.close()

    def _loaded_in(self, reader: Reader) -> int | None:
        """Position of the weights that a reader has; None where they are others or could not be loaded."""
        places = range(max(1, len(self.kept)))
        if reader.failure is not None:
            return None
        return next((place for place in places if Path(self._folder(place)) == Path(reader.path)), None)

    def _choose(self) -> None:
        """Find the kept weights of a run and those to begin with. Raises UserError."""
        from engine.answering_model import is_run
        from engine.rundir.checkpoints import find_weights, kept_weights
        from engine.rundir.layout import RunDir

        path = Path(self.target.path)
        if not is_run(path):
            return
        run = RunDir(path)
        self.kept = kept_weights(run)
        if not self.kept:
            raise UsageError(
                f"{run.name}: no weights are kept, so there is nothing to ask.",
                hint="The first checkpoint is saved at the end of the first epoch; --keep-weights all keeps every one.",
            )
        if (step := self.target.step) is not None:
            self.first = min(range(len(self.kept)), key=lambda n: (abs(self.kept[n].manifest.step - step), -n))
        elif self.target.snapshot == "best":
            self.first = max(range(len(self.kept)), key=lambda n: (_f1(self.kept[n]), n))
        else:
            chosen = find_weights(run, str(self.target.snapshot)).folder
            self.first = [one.folder for one in self.kept].index(chosen)

    def _folder(self, position: int) -> Path | str:
        return self.kept[position].folder if self.kept else self.target.path

    def _ask(self, reader: Reader, view: View) -> Explanation | Layers | None:
        """The reply, or None where the thread is to end. Raises UserError."""
        from engine.answering_model import decision_for
        from engine.messages import ExplainRequest, Explanation, Failure, Layers, LayersRequest
        from engine.reader import check_texts

        question, context, decision = self.target.question, self.target.context, decision_for(reader.source)
        check_texts(question, context)
        number = reader.next_id()
        request: Request
        if view == "layers":
            request = LayersRequest(id=number, question=question, context=context, decision=decision)
        else:
            request = ExplainRequest(id=number, question=question, context=context, methods=(view,), decision=decision)
        reader.submit(request)
        while not self._closed.is_set():
            for reply in reader.poll():
                if reader.failure is not None:
                    raise reader.failure.error()
                if reply.id == number and isinstance(reply, Failure):
                    raise reply.error()
                if reply.id == number and isinstance(reply, Explanation | Layers):
                    return reply
            time.sleep(LOOK_SECONDS)
        return None


def _name(weights: KeptWeights) -> str:
    """For example `epoch 3`."""
    return weights.snapshot.label if weights.snapshot is not None else f"step {weights.manifest.step}"


def _f1(weights: KeptWeights) -> float:
    return weights.snapshot.metrics.f1 if weights.snapshot is not None else -1.0
