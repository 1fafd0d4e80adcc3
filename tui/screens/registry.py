"""The screens, in the order of their keys. A screen is a folder here and one line in SCREENS.

Only `about.py` of a screen is loaded with the app; its class when it is first shown, so that the first frame comes at
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from tui.commands import EVERYWHERE, KeyCommand, key_names
from tui.screens.about import About
from tui.screens.base import ScreenView

SCREENS = (
    "journey",
    "spans",
    "curves",
    "map",
    "compare",
    "runs",
    "trust",
    "groups",
    "ask",
    "heatmap",
)


def about(name: str) -> About:
    """What the screen `name` says of itself."""
    found: About = import_module(f"tui.screens.{name}.about").ABOUT
    return found


def make_screen(name: str) -> ScreenView:
    """A new screen, with its name as the widget's id."""
    view: ScreenView = getattr(import_module(f"tui.screens.{name}.screen"), about(name).screen)(id=name)
    return view


def views(bound: Mapping[str, str], *, look_only: bool = False) -> list[tuple[str, str, str]]:
    """Name, key and label of every screen, in order; `bound` holds keys that the user chose."""
    return [
        (name, key_names(bound.get(f"view_{name}", about(name).key).split(",")[0]), about(name).label)
        for name in SCREENS
        if not (look_only and about(name).acts)
    ]


def show_commands() -> tuple[KeyCommand, ...]:
    """The commands that bring the screens to the front; the line of views names them, so the footer does not."""
    screens = [about(name) for name in SCREENS]
    return tuple(KeyCommand(f"view_{screen.name}", screen.key, screen.summary, acts=screen.acts) for screen in screens)


def commands_of(name: str, *, look_only: bool = False) -> list[KeyCommand]:
    """The commands that work in a screen, in the order of footer and help; with `look_only`, those that don't act."""
    commands = [*about(name).commands, *show_commands(), *EVERYWHERE]
    return [command for command in commands if not (look_only and command.acts)]


def all_commands() -> dict[str, KeyCommand]:
    """Every command by its id."""
    return {command.id: command for name in SCREENS for command in commands_of(name)}


def footer_items(
    name: str, bound: Mapping[str, str], *, ascii_only: bool = False, look_only: bool = False
) -> list[tuple[str, str]]:
    """Keys and words for the bottom of a screen, most important first; `bound` holds keys that the user chose."""
    commands = {command.id: command for command in commands_of(name, look_only=look_only)}

    def key(command: KeyCommand) -> str:
        return key_names(bound.get(command.id, command.keys).split(",")[0], ascii_only=ascii_only)

    items = []
    for command in commands.values():
        if command.footer:
            keys = key(command)
            if command.pair:
                keys += (" " if ascii_only else "") + key(commands[command.pair])
            items.append((keys, command.footer))
    return items
