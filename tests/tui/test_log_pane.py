"""The log of a run, key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.rundir.layout import RunDir
from tests.fake_app import make_app, press, screen_lines, screen_text, until
from tests.fake_run import make_run
from tui.screens.runs.log_pane import LogPane


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    (tmp_path / "runs").mkdir()
    run = make_run(tmp_path / "runs", name="one", examples=4, snapshots=2, tokens=20)
    lines = [f"line {number:03}" + (" needle" if number in (5, 50) else "") for number in range(60)]
    run.engine_log.write_text("\n".join(lines) + "\n")
    return run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.screens.runs.log_pane.POLL_SECONDS", 0.05)


async def opened(pilot: Any) -> None:
    app = pilot.app
    await until(pilot, lambda: "1 run" in screen_text(app))
    await press(pilot, "L")
    await until(pilot, lambda: isinstance(app.screen, LogPane) and app.screen._tail.lines)
    await press(pilot)


def shown(app: Any) -> list[str]:
    """The lines of the log on the screen."""
    return [line[1:] for line in screen_lines(app)[1:-1]]


async def test_the_log_is_followed_until_one_scrolls_up(run: RunDir) -> None:
    app = make_app(None, run.path.parent)
    async with app.run_test(size=(80, 12)) as pilot:
        await opened(pilot)
        assert shown(app) == [f"line {number:03}" + (" needle" if number == 50 else "") for number in range(50, 60)]
        assert "60 lines, following" in screen_lines(app)[0]
        with run.engine_log.open("a") as file:
            file.write("\x1b]0;title\x07[/b] last\n")
        await until(pilot, lambda: "␛]0;title␇[/b] last" in screen_text(app))
        await press(pilot, "up")
        assert shown(app)[-1] == "line 059"
        with run.engine_log.open("a") as file:
            file.write("newer\n")
        await until(pilot, lambda: "62 lines" in screen_lines(app)[0])
        assert shown(app)[-1] == "line 059"
        await press(pilot, "f")
        assert shown(app)[-1] == "newer"
        await press(pilot, "home")
        assert shown(app)[0] == "line 000"
        await press(pilot, "pagedown")
        assert shown(app)[0] == "line 010"
        await press(pilot, "right")
        assert shown(app)[0] == ""
        await press(pilot, "left", "k", "pageup")
        assert shown(app)[0] == "line 000"
        await press(pilot, *["pagedown"] * 7)
        assert "following" in screen_lines(app)[0]
        await press(pilot, "escape")
        assert app.view_name == "runs"
        assert len(app.screen_stack) == 1


async def test_search(run: RunDir) -> None:
    app = make_app(None, run.path.parent)
    async with app.run_test(size=(80, 12)) as pilot:
        await opened(pilot)
        await press(pilot, "slash", *"q N", "escape")
        assert isinstance(app.screen, LogPane)  # escape has closed the search alone
        await press(pilot, "slash", *"NEEDLE", "enter")
        assert "2 with “NEEDLE”" in screen_lines(app)[0]
        assert [line for line in screen_lines(app) if line.startswith("›")] == ["›line 050 needle"]
        await press(pilot, "n")
        assert [line for line in screen_lines(app) if line.startswith("›")] == ["›line 005 needle"]
        await press(pilot, "N")
        assert [line for line in screen_lines(app) if line.startswith("›")] == ["›line 050 needle"]
        await press(pilot, "slash", *"none", "enter")
        assert "0 with “none”" in screen_lines(app)[0]
        assert not [line for line in screen_lines(app) if line.startswith("›")]


async def test_a_run_without_a_log_and_ascii(run: RunDir) -> None:
    run.engine_log.unlink()
    app = make_app(None, run.path.parent, ascii_only=True)
    async with app.run_test(size=(80, 12)) as pilot:
        await until(pilot, lambda: "1 run" in screen_text(app))
        await press(pilot, "L")
        await until(pilot, lambda: "engine.log of one: empty" in screen_text(app))
        run.engine_log.write_text("gruss\n")
        await until(pilot, lambda: "1 line," in screen_text(app))
        await press(pilot, "slash", "g", "r", "enter")
        assert screen_text(app).isascii()
        await press(pilot, "q", "down", "L")
        await until(pilot, lambda: "this is no run" in screen_text(app))


def test_picture(snap_compare: Any, run: RunDir) -> None:
    run.engine_log.write_text(
        "loading all-MiniLM-L6-v2\n"
        "Traceback (most recent call last):\n"
        '  File "worker.py", line 90, in main\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
    )

    async def walk(pilot: Any) -> None:
        await opened(pilot)
        await press(pilot, "slash", *"memory", "enter")

    assert snap_compare(make_app(None, run.path.parent), terminal_size=(80, 12), run_before=walk)
