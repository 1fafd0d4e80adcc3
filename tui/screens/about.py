"""What a screen says of itself before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from tui.commands import KeyCommand


@dataclass(frozen=True)
class About:
    """A screen: the folder `tui/screens/<name>` with the class `screen` in its `screen.py`.

    `key` brings it to the front; `summary` names it in help and palette, `help` explains it; `footer` is its word at
    the bottom of the screen where its key stands there alone. `commands` are those that work in it, in the order of
    footer and help.
    """

    name: str
    screen: str
    key: str
    title: str
    summary: str
    help: str
    commands: tuple[KeyCommand, ...]
    footer: str = ""
