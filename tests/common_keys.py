"""The keys that work in every view, pressed one by one: for the tests of the screens."""

from __future__ import annotations

import json
from typing import Any

from textual.pilot import Pilot

from engine.rundir.layout import RunDir
from tests.fake_app import press, screen_lines, screen_text, until
from tui.drawing.theme import theme_names
from tui.screens.registry import SCREENS, about, commands_of

VIEW_KEYS = {about(name).key: name for name in SCREENS}


async def check_common_keys(pilot: Pilot[Any], view: str) -> None:
    """Press every key that works everywhere, from `view` and back to it; `q` last, which ends the app."""
    app: Any = pilot.app
    own = next(key for key, name in VIEW_KEYS.items() if name == view)
    for key in (*VIEW_KEYS, own):
        await press(pilot, key)
        assert app.view_name == VIEW_KEYS[key]
        assert f"[{key} {about(app.view_name).label}]" in screen_lines(app)[0]
    styles = [(app.theme_name, app.style_of("cursor"), app.style_of("bad"))]
    for _ in theme_names():
        await press(pilot, "T")
        styles.append((app.theme_name, app.style_of("cursor"), app.style_of("bad")))
        assert f"theme: {app.theme_name}" in screen_text(app)
    assert styles[-1] == styles[0]
    assert len(set(styles)) == len(theme_names())
    await check_help(pilot, view)
    await press(pilot, "q")
    await until(pilot, lambda: app.return_code == 0)


async def check_help(pilot: Pilot[Any], view: str) -> None:
    """`?` explains the view and every command in it; while it is open, the view's keys do nothing."""
    app: Any = pilot.app
    place = repr(app.view_state)
    await press(pilot, "question_mark")
    shown = " ".join(str(widget.render()) for widget in app.screen.query("Static"))
    assert about(view).help in shown
    assert all(command.help in shown for command in commands_of(view))
    await press(pilot, "left", "down", "s", "o", "escape")
    assert len(app.screen_stack) == 1
    assert repr(app.view_state) == place


async def check_pause(pilot: Pilot[Any], run: RunDir) -> None:
    """`p` asks the engine of a live run to pause."""
    before = set(run.commands.iterdir())
    await press(pilot, "p")
    (asked,) = set(run.commands.iterdir()) - before
    assert json.loads(asked.read_bytes())["command"] == "pause"
    assert "asked the engine to pause" in screen_text(pilot.app)
