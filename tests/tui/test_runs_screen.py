"""The Runs screen, key by key."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import launch
from engine.config import RunConfig
from engine.data.samples import sample_names
from engine.errors import ModelError, WriteError
from engine.events import Failed, Paused, SnapshotTaken, Stopped
from engine.rundir.layout import RunDir
from engine.rundir.liveness import RunStatus, State
from engine.rundir.log import read_events
from engine.rundir.notes import Notes, read_notes, write_notes
from engine.rundir.process import Owner
from engine.storage.atomic_io import replace_file
from tests.common_keys import check_common_keys
from tests.fake_app import make_app, press, screen_lines, screen_text, settle, until
from tests.fake_run import append_events, append_snapshot, fake_set, make_run, seem_alive
from tui.model.followed_runs import RunsFolder
from tui.screens.runs.notes_dialog import NotesDialog

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(sample_names(), key=lambda name: name != "remedies")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.screens.runs.screen.POLL_SECONDS", 0.1)


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, RunDir]:
    """One run of each kind, by name, the oldest first."""
    folder = tmp_path / "runs"
    folder.mkdir()
    made = {"done": make_run(folder, name="done", examples=6, snapshots=4, tokens=20)}
    for seed, name in enumerate(("working", "paused", "stopped", "failed", "dead"), start=1):
        made[name] = make_run(folder, name=name, examples=6, snapshots=1 + seed, tokens=20, live=True, seed=seed)
    append_events(made["paused"], Paused(step=5))
    made["stopped"].owner_file.unlink()
    append_events(made["stopped"], Stopped(step=30, epoch=3.0, reason="asked to stop"))
    made["failed"].owner_file.unlink()
    append_events(made["failed"], Failed(message="The disk is full.", hint="Make room."))
    gone = msgspec.structs.replace(Owner.of(os.getpid()), started=-100.0)
    replace_file(made["dead"].owner_file, msgspec.json.encode(gone))
    for age, run in enumerate(made.values()):
        os.utime(run.config_file, (1_700_000_000 + age, 1_700_000_000 + age))
    return made


def rows(app: Any) -> list[str]:
    """The lines of the table below its heading."""
    region = app.view.table.region
    return [line for line in screen_lines(app)[region.y + 1 : region.bottom] if line]


def pointed(app: Any) -> str:
    """What the row under the cursor says."""
    (line,) = [line for line in rows(app) if line[0] in "›>"]
    return str(line[1:])


def head(app: Any) -> str:
    return str(screen_lines(app)[app.view.region.y])


def asked_of(run: RunDir) -> list[str]:
    """Commands that wait for the engine of `run`."""
    return [json.loads(path.read_bytes())["command"] for path in sorted(run.commands.glob("*.json"))]


async def looked(pilot: Any) -> None:
    """Wait until the folder was read."""
    await until(pilot, lambda: "looking for runs" not in screen_text(pilot.app))
    await settle(pilot)


async def test_rows_say_how_every_run_stands(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(150, 30)) as pilot:
        await looked(pilot)
        assert "6 runs: 1 live, 1 paused, 1 dead, 1 finished, 1 stopped, 1 failed" in head(app)
        states = {"done": "finished", "working": "live"}
        lines = rows(app)
        assert [line[1:].split()[1] for line in lines[:6]] == list(reversed(runs))
        for line, (name, run) in zip(lines, reversed(runs.items()), strict=False):
            events = read_events(run.events_file)
            snapshots = [event for event in events if isinstance(event, SnapshotTaken)]
            best = max((event.metrics.start_accuracy + event.metrics.end_accuracy) / 2 for event in snapshots)
            state, _, data, model, epochs, shown_best, *_ = line[1:].split()
            assert state == states.get(name, name)
            assert data == f"{name}-data.json"
            assert model == "all-MiniLM-L6-v2"
            assert epochs == f"{len(snapshots) - 1}/{run.config.epochs}"
            assert shown_best == f"{best:.3f}"
        assert "The disk is full. Make room." in next(line for line in lines if "failed" in line)
        assert [line.split()[-3] for line in lines[6:]] == SAMPLES
        for name in reversed(runs):
            detail = screen_text(app).split("sample data")[-1]
            assert str(runs[name].path) in detail
            assert "Enter opens it" in detail
            assert ("S stops it" in detail) == (name in ("working", "paused"))
            assert ("R resumes it" in detail) == (name in ("paused", "stopped", "failed", "dead"))
            await press(pilot, "down")
        for name in SAMPLES:
            assert f"fine-tunes the default model on {name}, 5 epochs" in screen_text(app)
            await press(pilot, "j")


async def test_the_cursor(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    names = [*reversed(runs), *SAMPLES]
    async with app.run_test(size=(100, 15)) as pilot:
        await looked(pilot)
        page = app.view.table.rows_in_view
        assert page < len(names)
        place = 0
        walk = (
            ("down", 1), ("j", 1), ("k", -1), ("up", -1), ("up", -1), ("pagedown", page), ("pageup", -page),
            *[("pagedown", page)] * 3, ("k", -1),
        )  # fmt: skip
        for key, step in walk:
            await press(pilot, key)
            place = max(0, min(place + step, len(names) - 1))
            assert names[place] in pointed(app)


async def test_enter_opens_the_run(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        await press(pilot, "down", "down", "enter")
        await until(pilot, lambda: app.viewer is not None and app.viewer.snapshots)
        assert (app.view_name, app.viewer.run.path) == ("journey", runs["stopped"].path)
        await press(pilot, "6")
        assert "stopped" in pointed(app)
        await press(pilot, "up", "enter")
        assert (app.view_name, app.viewer.run.path) == ("journey", runs["failed"].path)


async def test_a_run_that_went_away_is_told(runs: dict[str, RunDir], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.screens.runs.screen.POLL_SECONDS", 60.0)
    app = make_app(runs["done"])
    async with app.run_test(size=(100, 30)) as pilot:
        await press(pilot, "6")
        await looked(pilot)
        assert "done" in pointed(app)
        await press(pilot, "up")
        shutil.rmtree(runs["working"].path)
        await press(pilot, "enter")
        assert "can't be read" in app.message
        assert (app.view_name, app.viewer.run.path) == ("runs", runs["done"].path)


async def test_stopping_asks_twice(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        await press(pilot, "S", "S")
        assert "this run is not training" in screen_text(app)
        app.view._go(list(reversed(runs)).index("working"))
        await press(pilot, "S")
        assert "press S once more to stop it" in screen_text(app)
        assert asked_of(runs["working"]) == []
        for keys in (("down", "up"), ("R",), ("1", "6")):
            await press(pilot, *keys)
            assert "press S once more" not in screen_text(app)
            await press(pilot, "S")
            assert asked_of(runs["working"]) == []
        await press(pilot, "S")
        assert asked_of(runs["working"]) == ["stop"]
        assert "asked working to save and stop" in screen_text(app)
        await press(pilot, "S")
        assert asked_of(runs["working"]) == ["stop"]
        assert all(not asked_of(run) for name, run in runs.items() if name != "working")


async def test_the_question_is_not_for_another_run(runs: dict[str, RunDir]) -> None:
    """The run under the cursor goes away between the two presses, and another one comes under it."""
    seem_alive(runs["stopped"])
    append_events(runs["stopped"], Paused(step=30))
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        await press(pilot, "down", "down", "S")
        assert "stopped" in pointed(app)
        shutil.rmtree(runs["stopped"].path)
        await until(pilot, lambda: "5 runs" in head(app))
        assert "paused" in pointed(app)
        await press(pilot, "S")
        assert asked_of(runs["paused"]) == []
        assert "press S once more to stop it" in screen_text(app)


async def test_resuming_asks_twice(runs: dict[str, RunDir], monkeypatch: pytest.MonkeyPatch) -> None:
    resumed: list[Path] = []
    monkeypatch.setattr("tui.screens.runs.screen.resume", resumed.append)
    app = make_app(None, runs["done"].path.parent)
    names = list(reversed(runs))
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        for name in ("done", "working"):
            app.view._go(names.index(name))
            await press(pilot, "R", "R")
            assert "this run can't be resumed" in screen_text(app)
        app.view._go(names.index("paused"))
        await press(pilot, "R")
        assert asked_of(runs["paused"]) == ["resume"]
        assert "asked paused to go on" in screen_text(app)
        for name in ("stopped", "failed", "dead"):
            app.view._go(names.index(name))
            await press(pilot, "R")
            assert "press R once more to resume it" in screen_text(app)
            assert runs[name].path not in resumed
            await press(pilot, "R")
            await until(pilot, lambda: app.view_name == "journey")
            assert resumed.pop() == app.viewer.run.path == runs[name].path
            await press(pilot, "6")
        assert not resumed


async def test_a_run_that_can_not_be_resumed_says_why(runs: dict[str, RunDir]) -> None:
    (runs["dead"].path.parent / "dead-data.json").write_text("{}")
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(200, 30)) as pilot:
        await looked(pilot)
        assert "dead" in pointed(app)
        await press(pilot, "R", "R")
        await until(pilot, lambda: "changed" in app.message)
        assert app.view_name == "runs"


async def test_a_first_run_from_start_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No runs: Enter on a sample starts an engine (one without a model), S S stops it, R R goes on to the end."""
    monkeypatch.setattr(launch, "WORKER", "tests.fake_engine")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.2")
    monkeypatch.chdir(tmp_path)
    app = make_app(None, Path("runs"))
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        assert "There are no runs in runs yet." in head(app)
        assert "Enter on a sample data set starts training" in screen_text(app)
        assert SAMPLES[0] in pointed(app)
        await press(pilot, "S")
        assert "this run is not training" in screen_text(app)
        await press(pilot, "R")
        assert "this run can't be resumed" in screen_text(app)
        await press(pilot, "down", "enter", "enter")
        await until(pilot, lambda: app.viewer is not None and app.viewer.snapshots)
        (folder,) = (tmp_path / "runs").iterdir()
        run = RunDir(folder)
        assert app.viewer.run.path == run.path
        assert Path(run.config.dataset).stem == SAMPLES[1]
        await press(pilot, "6")
        await until(pilot, lambda: "1 run: 1 live" in head(app))
        assert run.name[:20] in pointed(app)
        await press(pilot, "S", "S")
        await until(pilot, lambda: "1 run: 1 stopped" in head(app))
        monkeypatch.setenv("FAKE_STEP_SECONDS", "0")
        await press(pilot, "R", "R")
        await until(pilot, lambda: app.view_name == "journey")
        await press(pilot, "6")
        await until(pilot, lambda: "1 run: 1 finished" in head(app))
        watch = RunStatus(run)
        watch.update(read_events(run.events_file))
        assert watch.state()[0] is State.FINISHED
        assert "5/5" in pointed(app)


async def test_a_run_that_can_not_be_started_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[RunConfig] = []

    def no_model(config: RunConfig) -> None:
        raise ModelError("there is no model.", hint="Install one.")

    def no_room(config: RunConfig) -> None:
        started.append(config)
        raise WriteError("the disk is full.")

    monkeypatch.setattr(launch, "locate_model", no_model)
    app = make_app(None, tmp_path / "none")
    async with app.run_test(size=(120, 30)) as pilot:
        await looked(pilot)
        await press(pilot, "enter")
        await until(pilot, lambda: "there is no model. Install one." in " ".join(screen_text(app).split()))
        assert not (tmp_path / "none").exists()
        monkeypatch.setattr("tui.screens.runs.screen.start", no_room)
        await press(pilot, "enter")
        await until(pilot, lambda: "the disk is full" in screen_text(app))
        (config,) = started
        assert config.dataset == SAMPLES[0]
        assert config.runs_dir == str(tmp_path / "none")
        assert app.view_name == "runs"
        assert app.viewer is None


async def test_a_second_enter_starts_no_second_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[RunConfig] = []
    let_go = threading.Event()

    def slow(config: RunConfig) -> RunDir:
        started.append(config)
        let_go.wait(10)
        return make_run(tmp_path, name="new", examples=4, snapshots=2, tokens=20)

    monkeypatch.setattr("tui.screens.runs.screen.start", slow)
    app = make_app(None, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        await press(pilot, "enter", "enter")
        await until(pilot, lambda: started)
        assert f"starting a run on {SAMPLES[0]}" in screen_text(app)
        let_go.set()
        await until(pilot, lambda: app.view_name == "journey")
        assert len(started) == 1
        assert app.viewer.run.name == "new"


async def test_a_live_run_is_followed(runs: dict[str, RunDir]) -> None:
    run = runs["working"]
    app = make_app(None, run.path.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        app.view._go(list(reversed(runs)).index("working"))
        await settle(pilot)
        assert "1/1" in pointed(app)
        append_snapshot(run, fake_set(6, tokens=20, seed=1), 2)
        await until(pilot, lambda: "2/1" in pointed(app))
        newer = make_run(run.path.parent, name="newest", examples=4, snapshots=2, tokens=20)
        await until(pilot, lambda: "7 runs" in head(app))
        assert newer.name in rows(app)[0]
        assert "working" in pointed(app)


async def test_a_sample_stays_under_the_cursor(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        await press(pilot, "pagedown")
        assert SAMPLES[-1] in pointed(app)
        await press(pilot, *["up"] * (len(SAMPLES) - 1))
        assert SAMPLES[0] in pointed(app)
        make_run(runs["done"].path.parent, name="newest", examples=4, snapshots=2, tokens=20)
        await until(pilot, lambda: "7 runs" in head(app))
        assert SAMPLES[0] in pointed(app)


async def test_a_slow_folder_never_moves_the_cursor(runs: dict[str, RunDir], monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it takes its time, and keys go on working; nor is it read twice at once."""
    read = RunsFolder.poll
    busy, let_go, crowd = threading.Event(), threading.Event(), []
    reading = threading.Lock()

    def slow(folder: RunsFolder) -> list[Any]:
        if not reading.acquire(blocking=False):
            crowd.append(folder)
            return []
        with_pause = busy.is_set()
        try:
            busy.set()
            if with_pause:
                let_go.wait(10)
            return read(folder)
        finally:
            reading.release()

    monkeypatch.setattr(RunsFolder, "poll", slow)
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        await until(pilot, reading.locked)
        await press(pilot, "down", "down", "1", "6")
        assert "stopped" in pointed(app)
        let_go.set()
        make_run(runs["done"].path.parent, name="newest", examples=4, snapshots=2, tokens=20)
        await until(pilot, lambda: "7 runs" in head(app))
        assert "stopped" in pointed(app)
    assert crowd == []


async def test_damaged_and_foreign_folders_are_left_out(runs: dict[str, RunDir]) -> None:
    folder = runs["done"].path.parent
    (folder / "notes").mkdir()
    (folder / "file.txt").write_text("nothing")
    runs["done"].events_file.write_bytes(b'{"seq":1, torn')
    runs["failed"].config_file.write_bytes(b"{")
    app = make_app(None, folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        await until(pilot, lambda: "5 runs" in head(app))
        (line,) = [line for line in rows(app) if " done " in line]
        assert "0/3" in line
        assert " - " in line


async def test_clicks(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    names = list(reversed(runs))
    async with app.run_test(size=(100, 30)) as pilot:
        await looked(pilot)
        for row in (3, 1):
            await pilot.click("#runs-table", offset=(12, 1 + row))
            await settle(pilot)
            assert names[row] in pointed(app)
            assert app.view_name == "runs"
        await pilot.click("#runs-table", offset=(12, 0))
        await pilot.click("#runs-table", offset=(12, 15))
        await pilot.click("#runs-detail", offset=(12, 1))
        await settle(pilot)
        assert names[1] in pointed(app)
        await pilot.click("#runs-table", offset=(12, 2))
        await until(pilot, lambda: app.view_name == "journey")
        assert app.viewer.run.name == names[1]


async def test_keys_that_work_everywhere(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(100, 40)) as pilot:
        await looked(pilot)
        await check_common_keys(pilot, "runs")


async def test_ascii_alone(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent, ascii_only=True)
    async with app.run_test(size=(200, 50)) as pilot:
        await looked(pilot)
        for size in ((200, 50), (80, 24), (40, 10), (20, 8)):
            await pilot.resize_terminal(*size)
            for keys in (("pageup",) * 3, ("pagedown",) * 3):
                await press(pilot, *keys)
                region = app.view.region
                text = "\n".join(screen_lines(app)[region.y : region.bottom])
                assert text.isascii(), text
                assert "~" in text or size[0] > 80


async def test_resize_at_any_moment(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(80, 24)) as pilot:
        await looked(pilot)
        names = [*reversed(runs), *SAMPLES]
        for place, size in enumerate(((200, 50), (40, 10), (20, 8), (80, 24)), start=1):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await press(pilot, "down")
            assert "›" in "".join(line[0] for line in rows(app))
            if size[0] > 20:
                assert names[place] in pointed(app)
        app.view._go(names.index("working"))
        for size in ((40, 10), (20, 8)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await press(pilot, "S")
            assert "press S" in screen_text(app)
            await press(pilot, "R")
        assert asked_of(runs["working"]) == []


async def test_removing_asks_twice_and_refuses_what_is_at_work(runs: dict[str, RunDir]) -> None:
    names = list(reversed(runs))
    app = make_app(runs["failed"])
    async with app.run_test(size=(120, 30)) as pilot:
        await press(pilot, "6")
        await looked(pilot)
        await until(pilot, lambda: "KiB" in head(app))
        for name, words in (("working", "stop it first"), ("paused", "stop it first"), ("failed", "this run is open")):
            app.view._go(names.index(name))
            await press(pilot, "X", "X")
            assert words in screen_text(app)
        app.view._go(names.index("done"))
        await press(pilot, "X")
        assert "press X once more to delete it: " in screen_text(app)
        assert "on the disk, snapshots, weights and all" in screen_text(app)
        await press(pilot, "up", "down", "X")
        assert runs["done"].path.is_dir()
        await press(pilot, "X")
        await until(pilot, lambda: "5 runs" in head(app))
        assert "removed done" in screen_text(app)
        assert [name for name in runs if runs[name].path.is_dir()] == [name for name in runs if name != "done"]
        app.view._go(100)
        await press(pilot, "X")
        assert "this is no run" in screen_text(app)


async def test_a_run_with_files_of_others_is_not_removed(runs: dict[str, RunDir]) -> None:
    (runs["dead"].path / "report.html").write_text("mine")
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(160, 30)) as pilot:
        await looked(pilot)
        assert "dead" in pointed(app)
        await press(pilot, "X", "X")
        await until(pilot, lambda: "did not write: report.html" in app.message)
        assert runs["dead"].config.epochs


async def test_a_name_a_note_and_tags(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(120, 30)) as pilot:
        await looked(pilot)
        await press(pilot, "e")
        await until(pilot, lambda: isinstance(app.screen, NotesDialog))
        await press(pilot, *"Big", "tab", *"q s X", "down", *"#a b", "enter")
        await until(pilot, lambda: "Big" in pointed(app))
        assert "#a #b" in pointed(app)
        assert "#a #b q s X" in screen_text(app)
        assert read_notes(runs["dead"]) == Notes("Big", "q s X", ("a", "b"))
        await press(pilot, "e")
        await until(pilot, lambda: isinstance(app.screen, NotesDialog))
        await press(pilot, *"ger", "escape")
        await press(pilot, "down", "up")
        assert read_notes(runs["dead"]).title == "Big"
        write_notes(runs["done"], Notes(note="\x1b]0;x\x07[/b]"))
        await until(pilot, lambda: "␛]0;x␇[/b]" in screen_text(app))
        app.view._go(100)
        await press(pilot, "e")
        assert "this is no run" in screen_text(app)


async def test_sort_and_filter(runs: dict[str, RunDir]) -> None:
    app = make_app(None, runs["done"].path.parent)
    async with app.run_test(size=(120, 30)) as pilot:
        await looked(pilot)
        await press(pilot, "down")
        assert "failed" in pointed(app)
        for word in ("score", "state", "size", "name"):
            await press(pilot, "s")
            assert f"sorted by {word}" in screen_text(app)
            assert f"by {word}" in screen_lines(app)[app.view.region.y + 1]
            assert "failed" in pointed(app)  # the cursor stays on its run
        assert [line[1:].split()[1] for line in rows(app)[:6]] == sorted(runs)
        await press(pilot, "s", "t", "t")
        assert head(app).strip().startswith("4 of 6 runs")
        await press(pilot, "t")
        assert head(app).strip().startswith("1 of 6 runs")
        assert "done" in rows(app)[0]
        await press(pilot, "t", "slash", *"stopped", "enter")
        assert [line[1:].split()[1] for line in rows(app)[: -len(SAMPLES)]] == ["stopped"]
        await press(pilot, "slash", "enter")
        assert len(rows(app)) == 6 + len(SAMPLES)


@pytest.mark.parametrize("name", ["listed", "edited"])
def test_picture(snap_compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Runs with names, notes and tags, sorted by size; and the dialog that they are typed into."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tui.model.disk_use.disk_use", lambda folder: len(folder.name) << 24)
    folder = Path("runs")
    folder.mkdir()
    for age, run in enumerate(("aspirin", "herbs-large", "herbs")):
        made = make_run(folder, name=run, examples=6, snapshots=3 + age, tokens=20)
        os.utime(made.config_file, (1_700_000_000 + age, 1_700_000_000 + age))
        write_notes(made, Notes("Herbs, all pages" if "large" in run else "", f"try {age + 1}", ("paper", run[0])))

    async def walk(pilot: Any) -> None:
        await until(pilot, lambda: "MiB in runs" in screen_text(pilot.app))
        await press(pilot, "s", "s", "s", "up", "up", "up")
        if name == "edited":
            await press(pilot, "e")
            await until(pilot, lambda: isinstance(pilot.app.screen, NotesDialog))
        pilot.app._unsay()
        await settle(pilot)

    assert snap_compare(make_app(None, folder), terminal_size=(80, 20), run_before=walk)
