"""`--ascii` holds for the whole frame: bars, borders, scroll bars, charts, dialogs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from engine.events import Failed, Phase
from engine.rundir.layout import RunDir
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, until
from tests.fake_run import append_events, make_run, seem_alive
from tui.screens.registry import SCREENS, about, commands_of
from tui.terminal.ascii_filter import SIGNS

SIZES = [(80, 24), (120, 40)]
DIALOGS = ("ctrl+p", "escape", "slash", "x", "escape", "question_mark", "escape")
LEFT_OUT = {"quit", "stop_run", "resume_run"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("ascii"), examples=60, snapshots=4, tokens=90, has_impossible=True)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of screens go into the working folder."""
    monkeypatch.chdir(tmp_path)


def check(app: Any) -> None:
    for number, line in enumerate(screen_lines(app)):
        foreign = {char for char in line if not char.isascii()}
        assert not foreign, (app.view_name, number, foreign, line)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SCREENS)
async def test_no_character_beyond_ascii(screen: str, size: tuple[int, int], run: RunDir) -> None:
    app = make_app(run, ascii_only=True)
    keys = [about(screen).key, *DIALOGS]
    # What works in every screen is pressed in the first one alone, but for help, which is of the screen.
    commands = commands_of(screen) if screen == SCREENS[0] else about(screen).commands
    for command in commands:
        if command.id in LEFT_OUT:
            continue
        keys += [command.keys.split(",")[0]] + ["escape"] * (command.id in ("help", "why"))
    seen: set[str] = set()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        for key in keys:
            await press(pilot, key)
            check(app)
            seen.add("\n".join(screen_lines(app)))
    assert len(seen) > 3


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_at_work_and_in_trouble(tmp_path: Path, size: tuple[int, int]) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=40, live=True)
    seem_alive(run, os.getpid())
    app = make_app(run, ascii_only=True)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await press(pilot, "q")
        assert len(app.screen_stack) == 2
        check(app)
        await press(pilot, "escape")
        append_events(run, Phase(name="saving"))
        await until(pilot, lambda: app.viewer.phase is not None and app.viewer.phase.name == "saving")
        await press(pilot, "T")
        check(app)
        append_events(run, Failed(message="Loss is not a finite number.", hint="Lower --lr."))
        run.owner_file.unlink()
        await until(pilot, lambda: "FAILED" in screen_text(app))
        await press(pilot, "question_mark")
        check(app)


@pytest.mark.parametrize("size", SIZES)
async def test_before_the_first_snapshot(tmp_path: Path, size: tuple[int, int]) -> None:
    run = make_run(tmp_path, examples=8, snapshots=0, tokens=40, live=True)
    seem_alive(run, os.getpid())
    app = make_app(run, ascii_only=True)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.viewer.phase is not None)
        for screen in SCREENS:
            await press(pilot, about(screen).key)
            check(app)


async def test_words_of_tables_are_guarded_and_letters_of_data_stay(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=1, tokens=40)
    data = run.examples_file.read_bytes()
    run.examples_file.write_bytes(data.replace(b"what helps", "“où” helps".encode()))
    app = make_app(run, ascii_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, "2")
        assert '"où" helps' in screen_text(app)
        assert "“" not in screen_text(app)


def test_signs_keep_their_cells() -> None:
    for code, sign in SIGNS.items():
        assert cell_len(sign) == cell_len(chr(code)), chr(code)
