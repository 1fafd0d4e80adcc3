"""Colours by role. Shape or word separates every role from its neighbours too; colour only helps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from rich.style import Style

from engine.errors import UsageError

_SHARED: dict[str, str] = {
    "text": "",
    "dim": "dim",
    "axis": "dim",
    "heading": "bold",
    "cursor": "reverse",
    "title": "bold reverse",
    "key": "bold",
}

# Okabe and Ito's colours keep apart for every kind of colour vision; they are also distinct among 256.
THEMES: dict[str, dict[str, str]] = {
    "dark": {
        "start": "#5f87ff", "end": "#ff8700", "expected_start": "#ffd700", "expected_end": "#ff5f5f",
        "expected": "#ffd700", "true": "#ffd700", "predicted": "#ff87d7", "both": "#00d787", "apart": "#ff5f5f",
        "good": "#00d787", "bad": "#ff5f5f", "warn": "bold #ffd700", "gained": "#00d787", "lost": "dim",
        "first": "#5f87ff", "second": "#ff8700", "third": "#00d787", "level": "#ffd700",
        "fourth": "#ff87d7", "fifth": "#ffd700", "sixth": "#00d7d7", "seventh": "#ff5f5f", "eighth": "#af87ff",
    },
    "light": {
        "start": "#005faf", "end": "#d75f00", "expected_start": "#875f00", "expected_end": "#d70000",
        "expected": "#875f00", "true": "#875f00", "predicted": "#af00af", "both": "#008700", "apart": "#d70000",
        "good": "#008700", "bad": "#d70000", "warn": "bold #af5f00", "gained": "#008700", "lost": "dim",
        "first": "#005faf", "second": "#d75f00", "third": "#008700", "level": "#af8700",
        "fourth": "#af00af", "fifth": "#875f00", "sixth": "#008787", "seventh": "#d70000", "eighth": "#5f00af",
    },
    "colour-blind": {
        "start": "#56b4e9", "end": "#e69f00", "expected_start": "#f0e442", "expected_end": "#d55e00",
        "expected": "#f0e442", "true": "#f0e442", "predicted": "#cc79a7", "both": "#009e73", "apart": "#d55e00",
        "good": "#009e73", "bad": "#d55e00", "warn": "bold #f0e442", "gained": "#009e73", "lost": "dim",
        "first": "#56b4e9", "second": "#e69f00", "third": "#009e73", "level": "#f0e442",
        "fourth": "#cc79a7", "fifth": "#f0e442", "sixth": "#0072b2", "seventh": "#d55e00", "eighth": "#999999",
    },
    "none": dict.fromkeys(
        ["start", "true", "first", "third", "good", "gained", "both", "fifth", "seventh"], ""
    )
    | dict.fromkeys(["end", "expected_start", "expected_end", "expected", "predicted", "bad", "warn", "second"], "bold")
    | dict.fromkeys(["fourth", "sixth", "eighth"], "bold")
    | dict.fromkeys(["lost", "level", "apart"], "dim"),
}  # fmt: skip

# What is left of the colours where a terminal has 16: blue stays apart from yellow, shape and word do the rest.
_FEW: dict[str, str] = {
    "start": "bright_blue", "end": "yellow", "expected_start": "bright_yellow", "expected_end": "bright_red",
    "expected": "bright_yellow", "true": "bright_yellow", "predicted": "bright_magenta", "both": "green",
    "apart": "red", "good": "green", "bad": "bright_red", "warn": "bold yellow", "gained": "green",
    "first": "bright_blue", "second": "yellow", "third": "green", "level": "yellow",
    "fourth": "magenta", "fifth": "bright_yellow", "sixth": "cyan", "seventh": "red", "eighth": "bright_magenta",
}  # fmt: skip
_FEW_LIGHT: dict[str, str] = _FEW | {
    "start": "blue", "end": "red", "expected_start": "cyan", "expected_end": "magenta", "expected": "cyan",
    "true": "cyan", "predicted": "magenta", "bad": "red", "warn": "bold red", "first": "blue", "second": "red",
    "level": "cyan", "fifth": "magenta", "eighth": "green",
}  # fmt: skip

StyleOf = Callable[[str], Style]


def theme_names() -> list[str]:
    return list(THEMES)


def is_light(theme: str) -> bool:
    """Whether a theme is for dark text on a light background."""
    return theme == "light"


def choose_theme(name: str | None, *, light_background: bool | None = None) -> str:
    """The theme to use: `name`, or none under NO_COLOR, or what fits the terminal's background: as the terminal
    answered (`light_background`), else as COLORFGBG says, else dark.

    Raises UsageError for an unknown name.
    """
    if name is not None:
        if name not in THEMES:
            raise UsageError(f"there is no theme {name!r}.", hint=f"Themes: {', '.join(THEMES)}.")
        return name
    if os.environ.get("NO_COLOR"):
        return "none"
    if light_background is None:
        light_background = os.environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")
    return "light" if light_background else "dark"


def style_of(theme: str, *, few_colours: bool = False) -> StyleOf:
    """The function that gives a role's style in `theme`; a role it does not know looks like text. `few_colours`:
    the terminal has 16."""
    roles = _SHARED | THEMES[theme]
    if few_colours and theme != "none":
        roles |= _FEW_LIGHT if is_light(theme) else _FEW
    styles = {role: Style.parse(text) if text else Style.null() for role, text in roles.items()}
    return lambda role: styles.get(role, Style.null())


def combined(style: StyleOf, roles: Iterable[str]) -> Style:
    """The style of something that has several roles."""
    return Style.combine([Style.null(), *(style(role) for role in roles)])
