"""What every screen is, and what it may ask of the app."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol, cast

from rich.style import Style
from textual.widget import Widget

from engine.data.examples import Answer, Example
from engine.rundir.verdicts import Action, Half, Verdict
from tui.drawing.theme import StyleOf
from tui.model.explainer import Lend, Target
from tui.model.gpu import Gpu
from tui.model.viewer import Viewer
from tui.view_state import RunsView, ViewState


class Shell(Protocol):
    """The app, as screens know it: the run, where the user is in it, and what only the app can do.

    `viewer` is the run that is watched (None: no run is open), `view_name` the screen in front, `runs_dir` the folder
    of all runs, `style_of(role)` a role's style; `gpus` is what this machine's GPUs do, where the run is on it;
    `marked` are the folders of the runs that Curves shows together with the one that is watched; where
    `look_only` is, nothing may be changed or started; `runs_view` is how Runs lists the runs;
    `only_run` is the one run that may be seen, None where there is no such limit.
    """

    viewer: Viewer | None
    view_state: ViewState
    view_name: str
    runs_dir: Path
    ascii_only: bool
    look_only: bool
    style_of: StyleOf
    gpus: list[Gpu]
    marked: list[Path]
    runs_view: RunsView
    only_run: Path | None

    @property
    def progress(self) -> str:
        """How far the run is, in words, with text from outside: show() it."""

    def say(self, message: str) -> None:
        """Show a message, which may hold text from outside, in place of the keys for some seconds."""

    def changed(self) -> None:
        """Redraw, since the view state has changed."""

    def go_to(self, snapshot: int, *, follow: bool = False) -> None:
        """Show the snapshot at a position of the timeline."""

    def go_to_example(self, example: int) -> None:
        """Show another example."""

    def show_view(self, name: str) -> None:
        """Bring a screen to the front."""

    def focus_view(self) -> None:
        """Give the keys to the screen in front."""

    def open_run(self, path: Path) -> None:
        """Watch another run from now on. Raises UsageError where there is none, or it may not be seen."""

    def judge(self, action: Action, answer: Answer | None = None, *, by: Literal["model", "hand"] = "hand") -> None:
        """Write the user's verdict on the label of the example under the cursor."""

    def explain(self, target: Target, lend: Lend | None = None) -> None:
        """Open what explains an answer, in front of the screen; the model works in a process of its own, or in the one
        that `lend` gives."""

    def choose_in_journey(self) -> None:
        """Show the example under the cursor in Journey, to choose the right answer by its tokens."""

    def copy(self, text: str) -> None:
        """Put `text`, made harmless, on the clipboard of the terminal."""

    def action_do(self, name: str) -> None:
        """Run a command by its id."""


class ScreenView(Widget):
    """Base of the screens. A command `x` calls the method `do_x` of the screen in front, where it has one, else the
    app's."""

    DEFAULT_CSS = "ScreenView { height: 1fr; width: 1fr; }"

    @property
    def tui(self) -> Shell:
        return cast("Shell", self.app)

    def style_of(self, role: str) -> Style:
        return self.tui.style_of(role)

    def renew(self) -> None:
        """Something changed (new events, another snapshot, another example, theme): draw what differs."""
        raise NotImplementedError

    def progressed(self) -> None:
        """New steps and phases came, and nothing else: draw what shows them."""

    def enter(self) -> None:
        """The screen comes to the front."""
        self.renew()

    def do_search_text(self, text: str) -> None:
        """The user searched for `text` in this screen."""

    def proposed(self) -> tuple[int, int] | None:
        """The model's answer to the example under the cursor, in code points of its passage; (-1, -1) for no answer,
        None where there is none yet. Raises OSError, DataError."""
        viewer, state = self.tui.viewer, self.tui.view_state
        if viewer is None or not viewer.ready or not viewer.snapshots:
            return None
        found = viewer.predicted(min(state.snapshot, len(viewer.snapshots) - 1), state.example)
        return (found.char_start, found.char_end) if found is not None else None

    def subject(self) -> tuple[Half, Example] | None:
        """The example under the cursor, of which a verdict is; None where there is none yet."""
        viewer, number = self.tui.viewer, self.tui.view_state.example
        if viewer is None or not viewer.ready or not viewer.snapshots or number >= len(viewer.examples):
            return None
        return "validation", viewer.examples[number]

    def show_judged(self, verdict: Verdict) -> None:
        """Go to the example of a verdict that was taken back."""
        viewer = self.tui.viewer
        for number, example in enumerate(viewer.examples if viewer is not None else ()):
            if (verdict.half, verdict.example) == ("validation", example.id):
                self.tui.go_to_example(number)

    def on_mouse_scroll_down(self) -> None:
        """The wheel walks through rows, in screens that have them, else through examples."""
        self.tui.action_do("row_down" if hasattr(self, "do_row_down") else "down")

    def on_mouse_scroll_up(self) -> None:
        self.tui.action_do("row_up" if hasattr(self, "do_row_up") else "up")

    def move_token(self, by: int) -> None:
        """Move the token cursor, in screens that have one."""

    def do_token_right(self) -> None:
        self.move_token(1)

    def do_token_left(self) -> None:
        self.move_token(-1)

    def do_tokens_right(self) -> None:
        self.move_token(10)

    def do_tokens_left(self) -> None:
        self.move_token(-10)
