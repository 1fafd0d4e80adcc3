"""What holds on every screen: help, palette, themes, rebound keys, the place kept, leaving, trouble in sight."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest
from msgspec.structs import replace
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Static

from engine.errors import UsageError
from engine.events import Failed, Paused, Phase, Resumed, Warned
from engine.rundir.layout import RunDir
from tests.common_keys import VIEW_KEYS
from tests.fake_app import RecordingDriver, make_app, opened, press, screen_lines, screen_text, settle, until
from tests.fake_run import append_events, fake_steps, make_run, seem_alive
from tests.waiting import Clock
from tui.app import BertQAApp
from tui.commands import KeyCommand
from tui.model.followed_runs import RunsFolder
from tui.screens import registry
from tui.screens.about import About
from tui.screens.base import ScreenView, Shell
from tui.screens.registry import SCREENS, about, all_commands, commands_of
from tui.settings import Settings
from tui.widgets import bars
from tui.widgets.bars import FrameHost


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
        "import sys, tui.app, tui.cli.main, tui.plain.follow\n"
        "from tui.screens.registry import SCREENS\n"
        "for screen in (*SCREENS, 'explanation'): __import__(f'tui.screens.{screen}.screen')\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_key_means_two_things_in_one_view() -> None:
    for view in SCREENS:
        keys = [key for command in commands_of(view) for key in command.keys.split(",")]
        assert len(keys) == len(set(keys)), view
        ids = [command.id for command in commands_of(view)]
        assert len(ids) == len(set(ids)), view


def test_the_app_is_what_its_screens_and_bars_ask_for() -> None:
    app = BertQAApp(None)
    shell: Shell = app  # the type checker compares all names and types
    host: FrameHost = app
    for app_as, protocol in ((shell, Shell), (host, FrameHost)):
        assert all(hasattr(app_as, name) for name in protocol.__annotations__)


def test_every_command_has_its_method() -> None:
    for view in SCREENS:
        screen = getattr(import_module(f"tui.screens.{view}.screen"), about(view).screen)
        for command in commands_of(view):
            name = f"do_{command.id}"
            shown = command.id.startswith("view_") and command.id.removeprefix("view_") in SCREENS
            assert shown or hasattr(screen, name) or hasattr(BertQAApp, name), f"{view}: {name} is missing"


async def test_a_new_screen_is_a_folder_and_a_line(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    class ToyScreen(ScreenView):
        def compose(self) -> ComposeResult:
            yield Static("a toy")

        def renew(self) -> None:
            pass

        def do_wind_up(self) -> None:
            self.tui.say("it runs")

    commands = (KeyCommand("wind_up", "W", "wind it up", footer="wind"),)
    for part, held in (
        ("about", {"ABOUT": About("toy", "ToyScreen", "0", "Toy", "Toy: for this test", "It is a toy.", commands)}),
        ("screen", {"ToyScreen": ToyScreen}),
    ):
        module = ModuleType(f"tui.screens.toy.{part}")
        vars(module).update(held)
        monkeypatch.setitem(sys.modules, f"tui.screens.toy.{part}", module)
    monkeypatch.setitem(sys.modules, "tui.screens.toy", ModuleType("tui.screens.toy"))
    monkeypatch.setattr(registry, "SCREENS", (*SCREENS, "toy"))
    # Textual reads the keys of a class once, when it is made.
    bindings = [Binding(c.keys, f"do('{c.id}')", id=c.id, show=False) for c in all_commands().values()]
    app_class = type("ToyApp", (BertQAApp,), {"BINDINGS": bindings})
    app = app_class(run.path, runs_dir=run.path.parent, settings=Settings(), remember=False, theme_name="dark")
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await press(pilot, "0")
        assert app.view_name == "toy"
        assert "[0 Toy]" in screen_lines(app)[0]
        assert "W wind" in screen_lines(app)[-1]
        await press(pilot, "W")
        assert "it runs" in screen_text(app)
        await press(pilot, "question_mark")
        assert "It is a toy." in screen_text(app)
        await press(pilot, "escape", "1")
        assert app.view_name == "journey"


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
        await until(pilot, lambda: len(app.screen_stack) == 1 and app.view_state.snapshot == 0)


async def test_rebound_keys(run: RunDir) -> None:
    app = make_app(run, settings=Settings(keys={"previous": "b", "view_spans": "f9"}))
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await press(pilot, "left", "h")
        assert app.view_state.snapshot == 3
        await press(pilot, "b")
        assert app.view_state.snapshot == 2
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
        assert (again.view_state.snapshot, again.view_state.example, again.view_state.scale) == (1, 2, "logit")
        assert again.view_state.token == app.view_state.token >= 0
        assert not again.view_state.following


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
        assert (app.view_state.example, app.view_state.scale) == (0, "shifted")


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


async def test_a_fold_at_work_is_named(live: RunDir) -> None:
    append_events(live, Phase(name="training", part="fold 2 of 5", done=41, total=100))
    app = make_app(live)
    async with app.run_test(size=(120, 30)) as pilot:
        await opened(pilot)
        assert app.progress == "fold 2 of 5, training: 41 %"
        append_events(live, Paused(step=41))
        await until(pilot, lambda: app.progress == "in fold 2 of 5; p goes on")
    append_events(live, Resumed(step=41))
    (row,) = RunsFolder(live.path.parent).poll()
    assert row.reason == "fold 2 of 5, training 41 %"


def test_the_time_left_of_a_phase_that_is_begun_in_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Clock()
    monkeypatch.setattr(bars, "time", now)
    phases = bars.PhaseClock()
    for done, text in ((50, "training: 50 %"), (60, "training: 60 %, 0:40 left")):
        assert phases.text(Phase(name="training", part="fold 1 of 2", done=done, total=100)) == f"fold 1 of 2, {text}"
        now.sleep(10.0)


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
        await until(pilot, lambda: "FAILED" in screen_lines(app)[1])
        for key in VIEW_KEYS:
            await press(pilot, key)
            assert "FAILED Out of memory on the device." in screen_lines(app)[1]
        await press(pilot, "1", "question_mark")
        text = re.sub(r"\s+", " ", " ".join(str(part.render()) for part in app.screen.query("Static")))
        assert "Lower --batch-size." in text
        assert "the data has 3 duplicates" in text


async def test_a_click_on_the_line_of_views_shows_a_view(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        for name, key, title in app.views():
            await pilot.click("#views", offset=(screen_lines(app)[0].index(f"{key} {title}") + 1, 0))
            marked = f"[{key} {title}]"
            await until(pilot, lambda marked=marked: marked in screen_lines(app)[0])  # type: ignore[misc]
            assert app.view_name == name


@pytest.mark.parametrize("view", ["journey", "spans", "heatmap"])
async def test_the_wheel_walks(run: RunDir, view: str) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, about(view).key)
        before = app.view_state.example
        for kind, place in ((events.MouseScrollDown, before + 1), (events.MouseScrollUp, before)):
            app.post_message(kind(None, 5, 8, 0, 1, 0, False, False, False))
            await pilot.pause()
            await settle(pilot)
            assert app.view_state.example == place


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


async def test_leaving_says_when_the_engine_could_not_be_asked(live: RunDir) -> None:
    app = make_app(live)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        live.commands.rmdir()
        live.commands.write_text("a file in the folder's place: nothing can be written there")
        with patch("engine.launch.is_alive_here", return_value=False):
            await press(pilot, "q", "s")
        await until(pilot, lambda: app.farewell)
    assert "could not ask the engine to stop, training goes on" in app.farewell[0]
    assert "attach" in app.farewell[1]


async def test_leaving_on_a_full_disk_stops_the_engine_by_a_signal(live: RunDir) -> None:
    app = make_app(live)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        live.commands.rmdir()
        live.commands.write_text("a file in the folder's place: nothing can be written there")
        with patch("engine.launch.os.kill") as kill:
            await press(pilot, "q", "s")
            await until(pilot, lambda: app.farewell)
        assert kill.call_count == 1
    assert "asked the engine to save and stop" in app.farewell[0]


@pytest.mark.parametrize("part", ["ViewBar", "KeyBar", "#journey"])
async def test_a_clock_that_ticks_while_the_app_ends_finds_nothing_to_draw(run: RunDir, part: str) -> None:
    """The app takes its views away before its timers stop: playing, say."""
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await app.screen_stack[0].query(part).remove()
        app.draw()
        app.progressed()
        app.say("too late")
        app._unsay()
        assert app.message == ""
