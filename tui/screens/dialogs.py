"""What comes in front of a screen: help, and the question when one leaves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.commands import VIEW_HELP, VIEW_TITLES, commands_of, key_names
from tui.text import show


class Help(ModalScreen[None]):
    """What the view shows and every key that works in it, from the table of commands."""

    DEFAULT_CSS = """
    Help { align: center middle; }
    Help > VerticalScroll { width: 74; max-width: 100%; height: auto; max-height: 100%; border: round ansi_blue;
        padding: 0 1; background: ansi_default; }
    """
    BINDINGS: ClassVar = [Binding("escape,q,question_mark,enter", "dismiss", "close")]

    def __init__(self, view: str, keys: Mapping[str, str]) -> None:
        super().__init__()
        self._view, self._keys = view, keys

    def compose(self) -> ComposeResult:
        lines = [
            f"{key_names(self._keys.get(command.id, command.keys)):>12}  {command.help}"
            for command in commands_of(self._view)
        ]
        with VerticalScroll():
            yield Static(Content.styled(VIEW_TITLES[self._view], "bold"))
            yield Static(Content(VIEW_HELP[self._view] + "\n"))
            yield Static(Content("\n".join(lines)))
            yield Static(Content("\n      ctrl+p  every action by name\n      escape  close"))


class Leave(ModalScreen[str]):
    """Asked on leaving a run that trains."""

    DEFAULT_CSS = """
    Leave { align: center middle; }
    Leave > Vertical { width: 70; max-width: 100%; height: auto; border: round ansi_yellow; padding: 0 1;
        background: ansi_default; }
    """
    BINDINGS: ClassVar = [
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
            yield Static(show(f"  bertqa-tui attach {self._path}"))
            for line in (
                "",
                "  enter or q   leave",
                "  s            save, stop training, leave",
                "  escape       stay",
            ):
                yield Static(Content(line))

    def action_choose(self, choice: str) -> None:
        self.dismiss(choice)
