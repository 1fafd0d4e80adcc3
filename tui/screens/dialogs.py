"""What comes in front of a screen: help, and the question when one leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.commands import KeyCommand, key_names
from tui.drawing.text import path_from_here, show, show_line
from tui.model.viewer import Viewer
from tui.screens.about import About


class Help(ModalScreen[None]):
    """What the view shows and every key that works in it, from the table of commands; and how the run stands."""

    AUTO_FOCUS = "VerticalScroll"
    DEFAULT_CSS = """
    Help { align: center middle; background: transparent; }
    Help > VerticalScroll { width: 80; max-width: 100%; height: auto; max-height: 100%; border: round ansi_blue;
        padding: 0 1; background: ansi_default; scrollbar-size-vertical: 1; }
    Help Static { background: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", "close"),
        Binding("j", "scroll(1)", "down"),
        Binding("k", "scroll(-1)", "up"),
    ]

    def __init__(
        self,
        about: About,
        commands: Sequence[KeyCommand],
        keys: Mapping[str, str],
        viewer: Viewer | None = None,
        *,
        ascii_only: bool = False,
    ) -> None:
        """`commands` are those of the screen, `keys` the user's own keys by command."""
        super().__init__()
        self._about, self._commands, self._keys, self._viewer, self._ascii = about, commands, keys, viewer, ascii_only

    def compose(self) -> ComposeResult:
        rows = [
            (key_names(self._keys.get(command.id, command.keys), ascii_only=self._ascii), command.help)
            for command in self._commands
        ]
        rows.append(("ctrl+p", "every action by name"))
        with VerticalScroll():
            yield Static(Content.styled(self._about.title, "bold"))
            yield Static(Content(self._about.help + "\n"))
            yield Static(Content("\n").join(Content(f"{keys:>9}  ").stylize("bold") + words for keys, words in rows))
            yield Static(self._run())
            yield Static(Content.styled("\nescape closes this, up and down scroll it", "dim"))

    def _run(self) -> Content:
        """Which run this is, how it stands and why, in full: the status line may be too short for it."""
        if self._viewer is None:
            return Content("")
        lines = [
            Content("\nrun       ") + show_line(path_from_here(self._viewer.run.path)),
            Content("data      ") + show_line(self._viewer.config.dataset),
            Content(f"state     {self._viewer.state} ") + show(self._viewer.reason, 2000),
        ]
        lines += [
            Content("warning   ") + show(f"{warning.message} {warning.hint}", 500)
            for warning in self._viewer.warnings[-3:]
        ]
        return Content("\n").join(lines)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A small box in the middle, over what is shown."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: transparent; }
    Dialog > Vertical { width: 74; max-width: 100%; height: auto; border: round ansi_blue; padding: 0 1;
        background: ansi_default; }
    Dialog Static { background: ansi_default; }
    """


class Leave(Dialog[str]):
    """Asked on leaving a run that trains."""

    AUTO_FOCUS = None
    DEFAULT_CSS = "Leave > Vertical { border: round ansi_yellow; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,q,y", "choose('leave')", "leave"),
        Binding("s", "choose('stop')", "stop training"),
        Binding("escape,n", "choose('stay')", "stay"),
    ]

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content("Training goes on when you leave. Come back with:\n"))
            yield Static(Content("  bertqa-tui attach ") + show_line(path_from_here(self._path)))
            yield Static(Content("\n  enter or q   leave"))
            yield Static(Content("  s            save a checkpoint, stop training, leave"))
            yield Static(Content("  escape       stay"))

    def action_choose(self, choice: str) -> None:
        self.dismiss(choice)
