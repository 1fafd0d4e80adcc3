"""The app on a made-up run, and its screen as text: for tests of the screens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from engine.rundir.layout import RunDir
from tui.app import BertQAApp
from tui.settings import Settings

LOOK_SECONDS = 0.02
LOOKS = 1000


class RecordingDriver(HeadlessDriver):
    """Keeps what a terminal would be sent."""

    sent: list[str]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sent = []

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.sent.append(data)


def make_app(
    run: RunDir | None,
    runs_dir: Path | None = None,
    *,
    ascii_only: bool = False,
    theme: str = "dark",
    few_colours: bool = False,
    settings: Settings | None = None,
    remember: bool = False,
) -> Any:
    """The app, without the user's own settings and memory."""
    folder = runs_dir or (run.path.parent if run else Path("runs"))
    return BertQAApp(
        run.path if run else None,
        runs_dir=folder,
        settings=settings or Settings(),
        remember=remember,
        ascii_only=ascii_only,
        few_colours=few_colours,
        theme_name=theme,
    )


def screen_lines(app: Any) -> list[str]:
    """What the terminal shows, line by line, without trailing blanks."""
    width, height = app.size
    lines = app.screen._compositor.render_strips(app.size)
    return [line.text.rstrip()[:width] for line in lines[:height]]


def screen_text(app: Any) -> str:
    return "\n".join(screen_lines(app))


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """Look again and again until `condition()` is true. Raises AssertionError with what the screen shows instead."""
    for _ in range(LOOKS):
        if condition():
            return
        await pilot.pause(LOOK_SECONDS)
    raise AssertionError(screen_text(pilot.app))


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, and wait until what they changed is drawn."""
    for key in keys:
        await pilot.press(key)
    await settle(pilot)


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until nothing is left to draw: keys that come fast are drawn together, a little later."""
    app: Any = pilot.app
    await until(pilot, lambda: app._draw_timer is None)
    await pilot.pause()


async def opened(pilot: Pilot[Any], view: str = "") -> None:
    """Wait until the run's snapshots are on the screen, and go to a view by its key."""
    app: Any = pilot.app
    await until(pilot, lambda: app.viewer is not None and app.viewer.snapshots and app.viewer.eval_set)
    await settle(pilot)
    if view:
        await press(pilot, view)
