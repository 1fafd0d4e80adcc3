"""What a screen says of itself before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from tui.commands import KeyCommand


@dataclass(frozen=True)
class About:
    """A screen: the folder `tui/screens/<name>` with the class `screen` in its `screen.py`.

    `key` brings it to the front; `title` names it, `summary` does in help and palette, `help` explains it; `short` is
    its name in the line of views where the title is too long. `commands` are those that work in it, in the order of
    footer and help.
    """

    name: str
    screen: str
    key: str
    title: str
    summary: str
    help: str
    commands: tuple[KeyCommand, ...]
    acts: bool = False
    """The screen starts a process: it does not exist where one may only look."""
    short: str = ""

    @property
    def label(self) -> str:
        """Its name in the line of views."""
        return self.short or self.title
