"""Reviewing labels: the user's verdict on the example under the cursor, written at once into the run's folder."""

from __future__ import annotations

from typing import Any, Literal

from engine.data.examples import Answer
from engine.rundir.verdicts import Action, Verdict, give_verdict, read_verdicts, take_back
from tui.drawing.text import plain
from tui.model.verdict_words import verdict_words
from tui.navigation import Walking
from tui.screens.base import ScreenView


class Reviewing(Walking):
    """The part of the app that judges labels. A screen may propose another answer than the one of the snapshot in
    view (`ScreenView.proposed`), and hears of a verdict (`ScreenView.judged`)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._given: list[Verdict] = []

    @property
    def view(self) -> ScreenView:
        """The view in front."""
        raise NotImplementedError

    def show_view(self, name: str) -> None:
        """Bring a view to the front."""
        raise NotImplementedError

    def do_keep_label(self) -> None:
        self.judge("keep")

    def do_no_answer(self) -> None:
        self.judge("unanswerable")

    def do_drop_question(self) -> None:
        self.judge("drop")

    def do_take_answer(self) -> None:
        """Replace the label by the model's answer."""
        found = self.view.proposed()
        if found is None or self.viewer is None:
            self.say("the model gives no answer here")
            return
        start, end = found
        if start < 0:
            self.judge("unanswerable", by="model")
        else:
            text = self.viewer.examples[self.view_state.example].context[start:end]
            self.judge("replace", Answer(text, start), by="model")

    def do_choose_span(self) -> None:
        """Choose the right answer by its tokens, in Journey."""
        if self.viewer is not None and self.viewer.ready and self.viewer.snapshots:
            self.show_view("journey")
            self.say("[ and ] walk the tokens; S at the first token of the right answer, S again at its last")

    def judge(self, action: Action, answer: Answer | None = None, *, by: Literal["model", "hand"] = "hand") -> None:
        """Write the verdict on the example under the cursor, and say so. Raises UsageError, WriteError."""
        viewer, number = self.viewer, self.view_state.example
        if viewer is None or not viewer.ready or not viewer.snapshots or number >= len(viewer.examples):
            self.say("there is no example to judge yet")
            return
        example = viewer.examples[number]
        if action == "unanswerable" and not example.answers:
            self.say("the label says no answer already: K keeps it")
        elif action == "replace" and answer in example.answers[:1]:
            self.say("the label says this already: K keeps it")
        else:
            verdict = give_verdict(viewer.run, "validation", example, action, answer, by=by)
            self._given.append(verdict)
            self._judged(number)
            self.say(f"label {plain(verdict_words(verdict))} (u takes it back)")

    def do_undo(self) -> None:
        """Take back the newest verdict of this session; without one, that on the example under the cursor."""
        viewer = self.viewer
        if viewer is None:
            return
        counting = {verdict.name for verdict in viewer.verdicts.current.values()}
        mine = [verdict for verdict in self._given if verdict.name in counting]
        verdict = mine[-1] if mine else viewer.verdict(self.view_state.example)
        if verdict is None:
            self.say("there is no verdict to take back")
            return
        take_back(viewer.run, verdict)
        numbers = {example.id: number for number, example in enumerate(viewer.examples)}
        number = numbers.get(verdict.example, self.view_state.example)
        self._judged(number)
        self.go_to_example(number)
        self.say(f"took back: label {plain(verdict_words(verdict))}")

    def _judged(self, example: int) -> None:
        assert self.viewer is not None
        self.viewer.verdicts = read_verdicts(self.viewer.run, self.viewer.verdicts)
        self.view_state.span_from = -1
        self.view.judged(example)
        self.changed()
