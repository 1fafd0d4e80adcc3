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
    """The part of the app that judges labels: the screen in front says of which example (`ScreenView.subject`), and
    what the model answers to it (`ScreenView.proposed`)."""

    look_only: bool

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
        found, subject = self.view.proposed(), self.view.subject()
        if found is None or subject is None:
            self.say("the model gives no answer here")
            return
        start, end = found
        if start < 0:
            self.judge("unanswerable", by="model")
        else:
            self.judge("replace", Answer(subject[1].context[start:end], start), by="model")

    def do_choose_span(self) -> None:
        """Choose the right answer by its tokens."""
        self.choose_in_journey()

    def choose_in_journey(self) -> None:
        """Show the example under the cursor in Journey, where its tokens are walked."""
        if self.viewer is not None and self.viewer.ready and self.viewer.snapshots:
            self.show_view("journey")
            self.say("[ and ] walk the tokens; S at the first token of the right answer, S again at its last")

    def judge(self, action: Action, answer: Answer | None = None, *, by: Literal["model", "hand"] = "hand") -> None:
        """Write the verdict on the example under the cursor, and say so. Raises UsageError, WriteError."""
        subject = self.view.subject()
        if self.look_only:
            self.say("you may only look here")
            return
        if self.viewer is None or subject is None:
            self.say("there is no example to judge yet")
            return
        half, example = subject
        if action == "unanswerable" and not example.answers:
            self.say("the label says no answer already: K keeps it")
        elif action == "replace" and answer in example.answers[:1]:
            self.say("the label says this already: K keeps it")
        else:
            verdict = give_verdict(self.viewer.run, half, example, action, answer, by=by)
            self._given.append(verdict)
            self._judged()
            self.say(f"label {plain(verdict_words(verdict))} (u takes it back)")

    def do_undo(self) -> None:
        """Take back the newest verdict of this session; without one, that on the example under the cursor."""
        viewer = self.viewer
        if viewer is None:
            return
        counting = {verdict.name for verdict in viewer.verdicts.current.values()}
        mine = [verdict for verdict in self._given if verdict.name in counting]
        subject = self.view.subject()
        verdict = mine[-1] if mine else viewer.verdicts.current.get((subject[0], subject[1].id)) if subject else None
        if verdict is None:
            self.say("there is no verdict to take back")
            return
        take_back(viewer.run, verdict)
        self._judged()
        self.view.show_judged(verdict)
        self.say(f"took back: label {plain(verdict_words(verdict))}")

    def _judged(self) -> None:
        assert self.viewer is not None
        self.viewer.verdicts = read_verdicts(self.viewer.run, self.viewer.verdicts)
        self.view_state.span_from = -1
        self.changed()
