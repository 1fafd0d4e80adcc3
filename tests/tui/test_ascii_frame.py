"""`--ascii` holds for the whole frame: bars, borders, scroll bars, charts, dialogs."""

from __future__ import annotations

import pytest

from engine.rundir.layout import RunDir
from tests.fake_app import make_app, opened, press, screen_lines
from tests.fake_run import make_run
from tui.screens.registry import SCREENS, about, commands_of

DIALOGS = ("ctrl+p", "escape", "slash", "x", "escape")
LEFT_OUT = {"quit", "stop_run", "resume_run"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("ascii"), examples=60, snapshots=4, tokens=90, has_impossible=True)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("screen", SCREENS)
async def test_no_character_beyond_ascii(screen: str, size: tuple[int, int], run: RunDir) -> None:
    app = make_app(run, ascii_only=True)
    commands = [command for command in commands_of(screen) if command.id not in LEFT_OUT]
    keys = [about(screen).key, *DIALOGS]
    for command in commands:
        keys += [command.keys.split(",")[0]] + ["escape"] * (command.id == "help")
    seen: set[str] = set()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        for key in keys:
            await press(pilot, key)
            for number, line in enumerate(screen_lines(app)):
                foreign = {char for char in line if not char.isascii()}
                assert not foreign, (screen, key, number, foreign, line)
            seen.add("\n".join(screen_lines(app)))
    assert len(seen) > 3
