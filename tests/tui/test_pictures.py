"""Every screen as a picture (SVG), of a real run: small and large, dark, light and without colour, ASCII alone.

The README shows these pictures. `pytest tests/tui/test_pictures.py --snapshot-update` redraws them: look at each.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.events import Failed, Warned
from engine.rundir.layout import RunDir
from tests.fake_app import make_app, opened, press, screen_text, settle, until
from tests.fake_run import append_events, make_run, seem_alive
from tests.recorded import recorded_run

Walk = Callable[[Pilot[Any]], Awaitable[None]]
SMALL, MIDDLE, LARGE = (80, 24), (100, 30), (200, 50)
SIZES = {"80x24": SMALL, "100x30": MIDDLE, "200x50": LARGE}
SCREENS = {
    "journey": ["m"],
    "spans": ["2"],
    "curves": ["3"],
    "map": ["4"],
    "groups": ["8"],
    "compare": ["5"],
    "runs": ["6"],
    "heatmap": ["x"],
    "help": ["question_mark"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    folder = tmp_path_factory.mktemp("home") / "runs"
    folder.mkdir()
    return recorded_run(folder)


@pytest.fixture(autouse=True)
def by_its_name(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Screens name the run as the user does: by a path from where they are."""
    monkeypatch.chdir(run.path.parent.parent)
    monkeypatch.setattr("tui.model.disk_use.disk_use", lambda folder: 123_456_789)  # differs between file systems


def walk(*keys: str) -> Walk:
    async def press_all(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        for key in keys:
            await press(pilot, key)
        app: Any = pilot.app
        if app.view_name in ("map", "groups"):
            await until(pilot, lambda: app.viewer.insight.dynamics is not None)
            await press(pilot)
        if app.view_name == "runs":
            await until(pilot, lambda: "118MiB" in screen_text(app))
        app._unsay()  # what a key says goes by itself after some seconds
        await settle(pilot)

    return press_all


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("screen", list(SCREENS))
def test_screen(snap_compare: Any, run: RunDir, screen: str, size: str) -> None:
    assert snap_compare(make_app(run), terminal_size=SIZES[size], run_before=walk(*SCREENS[screen]))


@pytest.mark.parametrize("theme", ["light", "colour-blind", "none"])
@pytest.mark.parametrize("screen", ["journey", "spans", "curves"])
def test_theme(snap_compare: Any, run: RunDir, screen: str, theme: str) -> None:
    app = make_app(run, theme=theme)
    assert snap_compare(app, terminal_size=MIDDLE, run_before=walk(*SCREENS[screen]))


@pytest.mark.parametrize("screen", ["journey", "spans", "curves", "map", "groups", "compare", "heatmap"])
def test_ascii(snap_compare: Any, run: RunDir, screen: str) -> None:
    app = make_app(run, ascii_only=True)
    assert snap_compare(app, terminal_size=SMALL, run_before=walk(*SCREENS[screen]))


@pytest.mark.parametrize("position", [0, 4, 5, 9])
def test_the_journey(snap_compare: Any, run: RunDir, position: int) -> None:
    keys = ["home", *["right"] * position]
    assert snap_compare(make_app(run), terminal_size=MIDDLE, run_before=walk(*keys))


@pytest.mark.parametrize("name", ["probabilities", "change"])
def test_other_ways_to_look(snap_compare: Any, run: RunDir, name: str) -> None:
    keys = {"probabilities": ["y", "y"], "change": ["left", "left", "left", "d"]}[name]
    assert snap_compare(make_app(run), terminal_size=MIDDLE, run_before=walk(*keys))


@pytest.mark.parametrize("name", ["choosing", "judged", "walked"])
def test_the_review(snap_compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "runs").mkdir()
    run = recorded_run(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    keys = {
        "choosing": ["m", "S", "right_square_bracket", "right_square_bracket"],
        "judged": ["2", "N", "down", "K", "down", "down", "D"],
        "walked": ["4", "down", "left"],
    }[name]

    async def review(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        await press(pilot, keys[0])
        app: Any = pilot.app
        if name == "walked":
            await until(pilot, lambda: app.viewer.insight.dynamics is not None)
            await press(pilot)
        await walk(*keys[1:])(pilot)

    assert snap_compare(make_app(run), terminal_size=MIDDLE, run_before=review)


def test_sixteen_colours(snap_compare: Any, run: RunDir) -> None:
    app = make_app(run, few_colours=True)
    assert snap_compare(app, terminal_size=MIDDLE, run_before=walk("m"))


def test_trouble_is_seen(snap_compare: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=40, live=True)
    append_events(
        run,
        Warned(message="the loss stands still since step 12"),
        Failed(message="Loss is not a finite number at step 21 (epoch 2.1).", hint="Lower --lr."),
    )
    run.owner_file.unlink()
    assert snap_compare(make_app(run), terminal_size=SMALL, run_before=walk())


def test_waiting(snap_compare: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=0, tokens=40, live=True)
    seem_alive(run, os.getpid())

    async def wait(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await until(pilot, lambda: app.viewer.phase is not None)
        await settle(pilot)

    assert snap_compare(make_app(run), terminal_size=SMALL, run_before=wait)


def test_leaving(snap_compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=40, live=True)
    seem_alive(run, os.getpid())
    monkeypatch.chdir(tmp_path)
    assert snap_compare(make_app(run), terminal_size=SMALL, run_before=walk("q"))


def test_no_runs(snap_compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()

    async def wait(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: "There are no runs" in screen_text(pilot.app))
        await settle(pilot)

    assert snap_compare(make_app(None, Path("runs")), terminal_size=SMALL, run_before=wait)
