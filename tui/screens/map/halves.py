"""Which half of the data Map shows, its example under the cursor, and the choice of another answer by words."""

from __future__ import annotations

from dataclasses import replace

from engine.data.examples import Answer, Example
from engine.insight.dynamics import Dynamics
from engine.insight.suspects import Suspects
from engine.rundir.verdicts import Half, Verdict
from tui.model.insight import HalfInsight, Insight
from tui.screens.base import ScreenView
from tui.screens.map.model import WordChoice


class HalfView(ScreenView):
    """The evaluation examples, with the cursor that all screens share; or the training examples of a run that scores
    them, which only this screen shows."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._insight: Insight | None = None
        self._listed: Suspects | None = None
        self._trains = False
        self._train_number = 0
        self._choice = WordChoice()

    @property
    def _half(self) -> HalfInsight | None:
        """What is known of the half in view."""
        if self._insight is None:
            return None
        return self._insight.train if self._trains else self._insight.validation

    @property
    def dynamics(self) -> Dynamics | None:
        return self._half.dynamics if self._half is not None else None

    @property
    def _number(self) -> int:
        """The example under the cursor, among those of its half."""
        return self._train_number if self._trains else self.tui.view_state.example

    def _show_example(self, number: int) -> None:
        """Put the cursor on an example of the half in view."""
        if not self._trains:
            self.tui.go_to_example(number)
        elif number != self._train_number:
            self._train_number, self._choice = number, WordChoice()
            self.tui.changed()

    def subject(self) -> tuple[Half, Example] | None:
        """The example under the cursor, of the half in view."""
        if not self._trains:
            return super().subject()
        half = self._half
        return ("train", half.examples[self._number]) if half is not None else None

    def proposed(self) -> tuple[int, int] | None:
        """Of a suspect the answer that the reason names, else the one of the snapshot in view; of a training example
        the one after the last epoch."""
        suspect = self._listed.of(self._number) if self._listed is not None else None
        if suspect is not None and suspect.answer is not None:
            return suspect.answer
        if not self._trains:
            return super().proposed()
        if self.dynamics is None:
            return None
        return int(self.dynamics.answer_start[self._number]), int(self.dynamics.answer_end[self._number])

    def show_judged(self, verdict: Verdict) -> None:
        """Go to the example of a verdict that was taken back."""
        if verdict.half != "train":
            super().show_judged(verdict)
        elif self._insight is not None and self._insight.train is not None:
            ids = [example.id for example in self._insight.train.examples]
            if verdict.example in ids:
                self._trains = True
                self._show_example(ids.index(verdict.example))

    # ------------------------------------------------------------------ commands

    def _from_the_top(self) -> None:
        """Other rows are listed: walk them from the first one."""
        raise NotImplementedError

    def do_half(self) -> None:
        """The training examples, or the evaluation examples."""
        if self._insight is None or (self._insight.train is None and not self._trains):
            self.tui.say("training examples are scored by a run with --track-train or --folds")
            return
        self._trains, self._choice = not self._trains, WordChoice()
        self._from_the_top()

    def do_choose_span(self) -> None:
        """Choose the right answer by its words; of an evaluation example by its tokens, in Journey."""
        subject = self.subject()
        if not self._trains or subject is None:
            self.tui.choose_in_journey()
            return
        example, choice = subject[1], self._choice
        if choice.word < 0:
            self._choice = choice.begun(example.context, example.answers[0].start if example.answers else 0)
            self.tui.say("[ and ] walk the words; S at the first word of the right answer, S again at its last")
        elif choice.first < 0:
            self._choice = replace(choice, first=choice.word)
            self.tui.say("S again at the last word of the right answer; escape gives up")
        else:
            start, end = choice.span(example.context)
            self._choice = WordChoice()
            self.tui.judge("replace", Answer(example.context[start:end], start))
        self.tui.changed()

    def move_token(self, by: int) -> None:
        subject = self.subject()
        if self._trains and subject is not None and self._choice.word >= 0:
            self._choice = self._choice.moved(subject[1].context, by)
            self.tui.changed()

    def do_no_token(self) -> None:
        """Give up choosing a span."""
        self._choice = WordChoice()
        self.tui.changed()
