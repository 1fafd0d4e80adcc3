"""What holds on every screen: help, palette, themes, keys bound anew, the place kept, leaving, trouble in sight."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from engine.errors import UsageError
from engine.events import Failed, Phase, Warned
from engine.rundir.layout import RunDir
from tests.common_keys import VIEW_KEYS
from tests.fake_app import RecordingDriver, make_app, opened, press, screen_lines, screen_text, settle, until
from tests.fake_run import append_events, fake_steps, make_run, seem_alive
from tui.commands import COMMANDS, VIEWS, commands_of
from tui.settings import Settings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("app"), examples=12, snapshots=4, tokens=40)


@pytest.fixture
def live(tmp_path: Path) -> RunDir:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30, live=True)
    seem_alive(run)
    return run


def test_the_app_starts_without_torch() -> None:
    code = (
        "import sys, tui.app, tui.cli, tui.plain\n"
        "for screen in tui.app.SCREENS.values(): __import__(screen.partition(':')[0])\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_key_means_two_things_in_one_view() -> None:
    for view in VIEWS:
        keys = [key for command in commands_of(view) for key in command.keys.split(",")]
        assert len(keys) == len(set(keys)), view
    assert len({command.id for command in COMMANDS}) == len(COMMANDS)


async def test_the_palette_holds_every_action_of_the_screen(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        for key, view in VIEW_KEYS.items():
            await press(pilot, key)
            titles = {command.title.lower() for command in app.get_system_commands(app.screen)}
            assert titles == {command.help.lower() for command in commands_of(view)}
        await press(pilot, "1", "ctrl+p")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await press(pilot, *"first snapshot")
        await until(pilot, lambda: "First snapshot" in screen_text(app))
        await press(pilot, "down", "enter")
        await until(pilot, lambda: len(app.screen_stack) == 1 and app.place.snapshot == 0)


async def test_keys_bound_anew(run: RunDir) -> None:
    app = make_app(run, settings=Settings(keys={"previous": "b", "view_spans": "f9"}))
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await press(pilot, "left", "h")
        assert app.place.snapshot == 3
        await press(pilot, "b")
        assert app.place.snapshot == 2
        assert screen_lines(app)[-1].startswith(" b→ snapshot")
        await press(pilot, "2")
        assert app.view_name == "journey"
        await press(pilot, "f9")
        assert app.view_name == "spans"
        await press(pilot, "1", "question_mark")
        assert re.search(r"\bb  previous snapshot", screen_text(app))


async def test_themes_change_nothing_but_colours(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        words = screen_lines(app)[:-1]
        seen = {app.theme_name}
        for _ in range(3):
            await press(pilot, "T")
            seen.add(app.theme_name)
            assert screen_lines(app)[:-1] == words
        assert seen == {"dark", "light", "colour-blind", "none"}


def test_a_theme_that_is_not_there(run: RunDir) -> None:
    with pytest.raises(UsageError, match="no theme 'blue'"):
        make_app(run, theme="blue")


async def test_the_place_is_kept(run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    app = make_app(run, remember=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await press(pilot, "left", "left", "down", "down", "y", "]", "]", "2", "q")
        await until(pilot, lambda: app.return_code == 0)
    again = make_app(run, remember=True)
    async with again.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        assert again.view_name == "spans"
        assert (again.place.snapshot, again.place.example, again.place.scale) == (1, 2, "logit")
        assert again.place.token == app.place.token >= 0
        assert not again.place.following


@pytest.mark.parametrize(
    "stored", [b"", b"{", b'{"RUN": {"example": -4}}', b'{"RUN": {"scale": "loud"}}', b'{"RUN": 3}']
)
async def test_a_damaged_memory_of_places_is_none(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bytes
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "bertqa-tui").mkdir()
    (tmp_path / "bertqa-tui" / "places.json").write_bytes(stored.replace(b"RUN", str(run.path).encode()))
    app = make_app(run, remember=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert (app.place.example, app.place.scale) == (0, "shifted")


async def test_leaving_a_finished_run_asks_nothing(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "q")
        await until(pilot, lambda: app.return_code == 0)
        assert app.farewell == []


async def test_one_slow_step_does_not_set_the_time_left(live: RunDir) -> None:
    app = make_app(live)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot)
        steps = fake_steps(2, 20, 10)
        append_events(live, Phase(name="training"), *steps[:-1], replace(steps[-1], examples_per_second=10.0))
        await until(pilot, lambda: "step 60" in app.progress)
        assert "35 examples/s" in app.progress  # 19 steps at 40 and one at 10


async def test_leaving_a_run_that_trains(live: RunDir) -> None:
    app = make_app(live)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        for back in ("escape", "n"):
            await press(pilot, "q")
            assert "Training goes on when you leave" in screen_text(app)
            await press(pilot, back)
            assert "Training goes on" not in screen_text(app)
        await press(pilot, "ctrl+c", "enter")
        await until(pilot, lambda: app.return_code == 0)
    assert list(live.commands.iterdir()) == []
    assert app.farewell == [f"training goes on; come back: bertqa-tui attach {live.path}"]


async def test_stopping_a_run_when_leaving(live: RunDir) -> None:
    app = make_app(live)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "q", "s")
        await until(pilot, lambda: app.return_code == 0)
    (asked,) = live.commands.iterdir()
    assert json.loads(asked.read_bytes())["command"] == "stop"
    assert "bertqa-tui resume" in app.farewell[0]


async def test_trouble_is_seen_from_every_screen(live: RunDir) -> None:
    app = make_app(live)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        append_events(live, Warned(message="the data has 3 duplicates"))
        await until(pilot, lambda: "the data has 3 duplicates" in screen_text(app))
        append_events(live, Failed(message="Out of memory on the device.", hint="Lower --batch-size."))
        live.owner_file.unlink()  # as an engine that ends does
        await until(pilot, lambda: "FAILED" in screen_lines(app)[0])
        for key in VIEW_KEYS:
            await press(pilot, key)
            assert "FAILED Out of memory on the device." in screen_lines(app)[0]
        await press(pilot, "1", "question_mark")
        text = re.sub(r"\s+", " ", " ".join(str(part.render()) for part in app.screen.query("Static")))
        assert "Lower --batch-size." in text
        assert "the data has 3 duplicates" in text


async def test_what_is_copied_goes_to_the_terminals_clipboard(run: RunDir) -> None:
    app = make_app(run)
    with patch("textual.drivers.headless_driver.HeadlessDriver", RecordingDriver):
        async with app.run_test(size=(100, 30)) as pilot:
            await opened(pilot)
            await press(pilot, "c")
            sent = "".join(app._driver.sent)
    (copied,) = re.findall("\x1b\\]52;c;([A-Za-z0-9+/=]+)\x07", sent)
    assert "expected: " in base64.b64decode(copied).decode()


async def test_without_a_run(tmp_path: Path) -> None:
    app = make_app(None, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for key in VIEW_KEYS:
            await press(pilot, key)
            assert screen_text(app).strip()
            for other in ("left", "right", "space", "down", "y", "m", "p", "c", "home", "end", "f"):
                await press(pilot, other)
        await press(pilot, "q")
        await until(pilot, lambda: app.return_code == 0)
