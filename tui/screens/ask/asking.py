"""What was asked last, and of which of the run's kept weights; knows the answering process and no screen."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UserError
from engine.messages import Answer
from engine.rundir.checkpoints import KeptWeights, best_kept, kept_weights
from engine.rundir.layout import RunDir
from tui.model.asker import Asked, Asker

NO_RUN = "no run is open: 6 lists the runs"


class Asking:
    """The question and the weights that answer it. A process is started by the first question, and ended by `stop`."""

    def __init__(self) -> None:
        self.kept: list[KeptWeights] = []
        self.trouble = ""
        """Why there are no weights to ask."""
        self.asked: tuple[str, str] | None = None
        """Question and passage that were asked last."""
        self.all = False
        """Whether all kept weights are asked, and not only those chosen."""
        self.asker: Asker | None = None
        self._seen = -1
        self._answers: dict[Asked, Answer] = {}
        """What an answering process that was ended had answered."""
        self._best: Path | None = None
        self._folder: Path | None = None
        """The weights that answer; None: the best epoch's."""

    # -- the weights ---------------------------------------------------------------------------------------

    def find_weights(self, run: RunDir | None) -> None:
        """Look which weights the run keeps by now."""
        self.kept, self.trouble = [], NO_RUN
        if run is None:
            return
        try:
            self.kept, self.trouble = kept_weights(run), ""
            if not any(one.folder == self._folder for one in self.kept):
                self._folder = None
            self._best = best_kept(run).folder
        except (OSError, UserError) as error:
            self.trouble = str(error)

    def forget(self) -> None:
        """Another run: nothing is asked of it yet."""
        self.stop()
        self._folder, self.asked, self.all = None, None, False

    @property
    def chosen(self) -> int:
        """Position of the weights that answer; -1 where none are kept."""
        wanted = self._folder or self._best
        return next((number for number, one in enumerate(self.kept) if one.folder == wanted), len(self.kept) - 1)

    @property
    def weights(self) -> KeptWeights | None:
        """The weights that answer; None where none are kept."""
        return self.kept[self.chosen] if self.chosen >= 0 else None

    def choose(self, number: int) -> None:
        """Let other weights answer: those at this position, counted round."""
        if self.kept:
            self._folder = self.kept[number % len(self.kept)].folder
            self.want()

    def choose_best(self) -> None:
        """Let the best epoch's weights answer."""
        self._folder = None
        self.want()

    def choose_step(self, step: int) -> bool:
        """Let the weights of an optimiser step answer; returns whether they are kept."""
        found = next((number for number, one in enumerate(self.kept) if one.manifest.step == step), None)
        if found is not None:
            self.choose(found)
        return found is not None

    # -- question and answer -------------------------------------------------------------------------------

    def want(self) -> None:
        """Ask the chosen weights (the others after them, where all are shown) what was asked last."""
        first = self.weights
        if self.asked is None or first is None:
            return
        weights = [first, *(one for one in self.kept if one is not first)] if self.all else [first]
        wanted = [Asked(*self.asked, one.folder) for one in weights]
        if not all(one in self._answers for one in wanted):
            self.start().ask(*wanted)

    def start(self) -> Asker:
        """Start the answering process, if none is there; there must be weights."""
        if self.asker is None:
            self.asker, self._seen = Asker(self.kept[self.chosen].folder), -1
        return self.asker

    def stop(self) -> None:
        """End the answering process; answers stay where they are shown again."""
        if self.asker is not None:
            self._answers = dict(self.asker.answers)
            self.asker.close()
            self.asker = None

    def pop_changed(self) -> bool:
        """Whether the process said anything since the last call."""
        if self.asker is None or self.asker.changes == self._seen:
            return False
        self._seen = self.asker.changes
        return True

    def found(self, weights: KeptWeights) -> Answer | str:
        """What the weights answered; in words why nothing (yet)."""
        if self.asked is None:
            return "not asked"
        asked = Asked(*self.asked, weights.folder)
        if asked in self._answers:
            return self._answers[asked]
        if self.asker is None:
            return "not asked"
        if asked in self.asker.answers:
            return self.asker.answers[asked]
        if asked in self.asker.failed:
            return str(self.asker.failed[asked])
        progress = self.asker.progress
        if progress is not None and progress.total > 1:
            return f"answering: {progress.done} of {progress.total} windows …"
        return "answering …" if self.asker.ready else "loading the model …"

    @property
    def answer(self) -> Answer | None:
        """What the chosen weights answered; None as long as they have not."""
        found = self.found(self.weights) if self.weights is not None else None
        return found if isinstance(found, Answer) else None
