"""The Curves screen, key by key."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.events import RunStarted, SnapshotTaken, Step
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events
from engine.rundir.snapshot import snapshot_name
from tests.common_keys import check_common_keys, check_pause
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, settle, until
from tests.fake_run import append_events, append_snapshot, fake_set, fake_steps, make_run, run_started, seem_alive
from tui.model.gpu import GIB, Gpu
from tui.screens.curves.strips import GUTTER, MARGIN
from tui.widgets.picture import Picture

NAMES = ["Loss", "Accuracy", "EM and F1", "F1 by passage", "Learning rate", "Throughput", "Memory"]
WIDE = (240, 50)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("curves"), examples=30, snapshots=5, tokens=30)


class Logged:
    """What the log of a run tells, and how a screen would put it."""

    def __init__(self, run: RunDir) -> None:
        events = read_events(run.events_file)
        self.snapshots = [event for event in events if isinstance(event, SnapshotTaken)]
        self.steps = [event for event in events if isinstance(event, Step)]
        (started,) = [event for event in events if isinstance(event, RunStarted)]
        self.total = started.total_steps

    def titles(self, position: int, *, following: bool = False) -> list[str]:
        """The values in the titles of the panels, while the snapshot at `position` is looked at."""
        event = self.snapshots[position]
        seen, unseen = event.seen, event.unseen
        assert seen is not None
        assert unseen is not None
        before = [step for step in self.steps if following or step.step <= event.step]
        step = before[-1] if before else None
        return [
            f"training {number(step.loss if step else None)}",
            f"eval {number(event.metrics.loss)}",
            f"start {number(event.metrics.start_accuracy)}",
            f"end {number(event.metrics.end_accuracy)}",
            f"EM {number(event.metrics.exact_match)}",
            f"F1 {number(event.metrics.f1)}",
            f"seen in training {number(seen.f1)}",
            f"never seen {number(unseen.f1)}",
            f"tokens/s {f'{step.tokens_per_second / 1000:.1f}k' if step else '-'}",
            f"in use {f'{step.memory / (1 << 30):.1f}GiB' if step else '-'}",
        ]


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def row_of(score: float, rows: int) -> int:
    """The row of a canvas on which a score of 0 to 100 stands."""
    return rows - 1 - int(0.5 + (rows - 1) * score / 100)


def column_of(step: int, total: int, columns: int) -> int:
    return int(0.5 + (columns - 1) * step / total)


def panels(app: Any) -> list[str]:
    """Names of the panels that are on the screen, in their order."""
    text = picture_text(app)
    return sorted((name for name in NAMES if f" {name}  " in text), key=lambda name: text.index(f" {name}  "))


def chosen(app: Any) -> list[str]:
    return [name for name in NAMES if f"› {name}  " in picture_text(app)]


def picture_text(app: Any) -> str:
    region = app.view.query_one("#curve-picture", Picture).region
    return "\n".join(screen_lines(app)[region.y : region.bottom])


async def test_titles_tell_what_the_log_holds(run: RunDir) -> None:
    logged = Logged(run)
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "3")
        assert panels(app) == NAMES
        assert all(title in picture_text(app) for title in logged.titles(4, following=True))
        assert "▲" not in picture_text(app)
        walk = ("home", 0), ("right", 1), ("l", 2), ("h", 1), ("left", 0), ("l", 1), ("g", 0)
        for key, position in walk:
            await press(pilot, key)
            assert app.view_state.snapshot == position
            text = picture_text(app)
            missing = [title for title in logged.titles(position) if title not in text]
            assert not missing, f"{key}: {missing}\n{text}"
            floors = [line for line in text.split("\n") if "▲" in line]
            columns = WIDE[0] // 3 - GUTTER - MARGIN
            guide = GUTTER + column_of(logged.snapshots[position].step, logged.total, columns)
            assert [line.index("▲") for line in floors] == [guide] * 3
        for key in ("end", "G"):
            await press(pilot, "home", key)
            assert app.view_state.snapshot == 4
            assert app.view_state.following
            assert all(title in picture_text(app) for title in logged.titles(4, following=True))


async def test_points_stand_where_the_scores_are(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "3")
        await press(pilot, "j", "j", "z")
        assert panels(app) == ["EM and F1"]
        lines = picture_text(app).split("\n")
        canvas = [line[GUTTER:] for line in lines[1:-1]]
        rows, columns = len(canvas), 100 - GUTTER - MARGIN
        for event in Logged(run).snapshots:
            assert canvas[row_of(event.metrics.f1, rows)][column_of(event.step, 40, columns)] == "x"
        assert lines[-1].endswith("40 steps")


async def test_the_chosen_chart_and_zoom(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "3")
        assert chosen(app) == ["Loss"]
        for key, name in (("down", NAMES[1]), ("j", NAMES[2]), ("up", NAMES[1]), ("k", NAMES[0]), ("k", NAMES[6])):
            await press(pilot, key)
            assert chosen(app) == [name]
        await press(pilot, "j")
        assert chosen(app) == ["Loss"]
        await press(pilot, "z")
        for name in (*NAMES[1:], NAMES[0]):
            await press(pilot, "j")
            assert panels(app) == [name]
        await press(pilot, "z")
        assert panels(app) == NAMES


async def test_charts_that_do_not_fit_are_a_page_away(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "3")
        assert panels(app) == NAMES[:6]
        assert "charts 1 to 6 of 7" in picture_text(app)
        await press(pilot, "k")
        assert panels(app) == ["Memory"]
        assert "charts 7 to 7 of 7" in picture_text(app)


async def test_follow_and_play(run: RunDir) -> None:
    logged = Logged(run)
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "3")
        await press(pilot, "f")
        assert not app.view_state.following
        assert "stays at this snapshot" in screen_text(app)
        assert "▲" in picture_text(app)
        await press(pilot, "f")
        assert app.view_state.following
        assert "▲" not in picture_text(app)
        await press(pilot, "1", *["minus"] * 4, "3")  # + and - zoom in Curves
        await press(pilot, "space")
        assert "playing 0.25 snapshots a second" in screen_text(app)
        assert (app.playing, app.view_state.snapshot) == (True, 0)
        assert all(title in picture_text(app) for title in logged.titles(0))
        await press(pilot, "space")
        assert not app.playing
        await press(pilot, "1", *["plus"] * 5, "3", "space")
        assert "playing 4 snapshots a second" in screen_text(app)
        await until(pilot, lambda: app.view_state.snapshot == 4 and not app.playing)
        await settle(pilot)
        assert all(title in picture_text(app) for title in logged.titles(4))


async def test_a_click_chooses_chart_and_snapshot(run: RunDir) -> None:
    logged = Logged(run)
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "3")
        across, columns = WIDE[0] // 3, WIDE[0] // 3 - GUTTER - MARGIN
        for position in (1, 3, 0, 4):
            column = GUTTER + column_of(logged.snapshots[position].step, logged.total, columns)
            await pilot.click("#curve-picture", offset=(across + column, 3))
            await settle(pilot)
            assert chosen(app) == ["Accuracy"]
            assert app.view_state.snapshot == position
            assert all(title in picture_text(app) for title in logged.titles(position))
        await pilot.click("#curve-picture", offset=(2 * across + column, 3))
        await settle(pilot)
        assert (chosen(app), app.view_state.snapshot) == (["EM and F1"], 4)
        await pilot.click("#curve-picture", offset=(3, 0))
        await settle(pilot)
        assert (chosen(app), app.view_state.snapshot) == (["Loss"], 4)
        height = app.view.query_one("#curve-picture", Picture).size.height
        await pilot.click("#curve-picture", offset=(2 * across + 20, height - 4))
        await settle(pilot)
        assert (chosen(app), app.view_state.snapshot) == (["Loss"], 4)


async def test_keys_that_work_everywhere(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(pilot, "3")
        await press(pilot, "p")
        assert "this run is not training" in screen_text(app)
        await check_common_keys(pilot, "curves")


async def test_waiting_states(tmp_path: Path) -> None:
    app = make_app(None, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3", "down", "z", "left")
        await pilot.click("#curve-picture", offset=(20, 3))
        assert "no run is open" in screen_text(app)
    run = make_run(tmp_path, examples=6, snapshots=0, tokens=30, live=True)
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3")
        await until(pilot, lambda: "no values yet" in screen_text(app))
        for key in ("left", "right", "home", "end", "space", "f", "z", "z", "down", "up"):
            await press(pilot, key)
        assert chosen(app) == ["Loss"]
        await pilot.click("#curve-picture", offset=(60, 3))
        await settle(pilot)
        assert chosen(app) == ["Accuracy"]
        append_snapshot(run, fake_set(6, tokens=30), 0, progress=0.0)
        await until(pilot, lambda: "F1 by passage" in screen_text(app))
        (event,) = Logged(run).snapshots
        assert f"start {event.metrics.start_accuracy:.2f}" in picture_text(app)
        assert "training -" in picture_text(app)


async def test_a_live_run_grows(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30, live=True)
    seem_alive(run)
    made = fake_set(8, tokens=30)
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "3")
        await check_pause(pilot, run)
        append_events(run, *fake_steps(2, 10, 4))
        append_snapshot(run, made, 3)
        await until(pilot, lambda: app.view_state.snapshot == 3)
        await settle(pilot)
        assert all(title in picture_text(app) for title in Logged(run).titles(3, following=True))
        await press(pilot, "left", "left")
        append_snapshot(run, made, 4)
        await until(pilot, lambda: len(app.viewer.snapshots) == 5)
        await settle(pilot)
        assert app.view_state.snapshot == 1
        assert all(title in picture_text(app) for title in Logged(run).titles(1))


async def test_a_resumed_run_tells_its_steps_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30, live=True)
    seem_alive(run)
    made = fake_set(8, tokens=30)
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "3")
        last = Logged(run).steps[-1]
        assert f"training {number(last.loss)}" in picture_text(app)
        logged = [msgspec.structs.replace(step, loss=3.21) for step in fake_steps(1, 10, 2)]
        append_events(run, run_started(made.dataset, run.config), *logged)
        await until(pilot, lambda: len(app.viewer.steps) == 20 and app.viewer.steps[-1].loss == 3.21)
        await settle(pilot)
        assert "training 3.21" in picture_text(app)


async def test_damaged_files_leave_the_curves(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30)
    (run.path / snapshot_name(1)).write_bytes(b"nothing")
    run.run_file.write_bytes(b"{")
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "3")
        await press(pilot, "left")
        assert app.view_state.snapshot == 1
        assert all(title in picture_text(app) for title in Logged(run).titles(1))


async def test_how_well_people_agree(tmp_path: Path) -> None:
    """Where questions have several answers: two people of four take one word more."""
    run = make_run(tmp_path, examples=4, snapshots=2, tokens=30)
    document = json.loads(run.examples_file.read_text("utf-8"))
    paragraphs = [paragraph for article in document["validation"]["data"] for paragraph in article["paragraphs"]]
    questions = [(paragraph["context"], question) for paragraph in paragraphs for question in paragraph["qas"]]
    assert len(questions) == 4
    f1 = 2.0
    for place, (context, question) in enumerate(questions):
        (answer,) = question["answers"]
        text, start = answer["text"], answer["answer_start"]
        if place < 2:
            text += " " + context[start + len(text) :].split()[0]
            words = len(text.split())
            f1 += 2 * (words - 1) / (2 * words - 1)
        question["answers"].append({"text": text, "answer_start": start})
    run.examples_file.write_text(json.dumps(document), "utf-8")
    app = make_app(run)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "3")
        await until(pilot, lambda: "people EM 50.0" in screen_text(app))
        assert f"people F1 {100 * f1 / 4:.1f}" in screen_text(app)
        await press(pilot, "j", "j", "z")
        canvas = picture_text(app).split("\n")[1:-1]
        level = canvas[row_of(50.0, len(canvas))]
        assert level.endswith(" people EM")
        assert level.count("╌") > 50


class Meter:
    """Stands in for the GPU meter."""

    def __init__(self) -> None:
        self.gpus = [Gpu("Fake GPU", 3 * GIB, 80 * GIB, 41), Gpu("Fake GPU", GIB, 80 * GIB, 99)]

    def read(self) -> list[Gpu]:
        return self.gpus


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("first", ["curves", "journey"])
async def test_gpus_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, first: str, ascii_only: bool
) -> None:
    """Logged where the run trains here, also where the app comes back to this view; and silent on another host."""
    here = make_run(tmp_path, name="here", examples=4, snapshots=2, tokens=30)
    there = make_run(tmp_path, name="there", examples=4, snapshots=2, tokens=30)
    there.run_file.write_text(there.run_file.read_text().replace("testhost", "elsewhere"))
    monkeypatch.setattr("tui.following.GpuMeter", Meter)
    monkeypatch.setattr("tui.following.GPU_SECONDS", 0.05)
    monkeypatch.setattr(platform, "node", lambda: "testhost")
    app = make_app(here, ascii_only=ascii_only)
    app.view_name = first
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        if first != "curves":
            await press(pilot, "3")
        await until(pilot, lambda: "4.0 of 160 GiB" in screen_text(app))
        (line,) = [line for line in screen_lines(app) if "GiB" in line and "Fake" in line]
        assert "load 41 to 99 %" in line
        assert "GPU 41 to 99 % 4/160G" in screen_lines(app)[1]
        assert line.isascii() == ascii_only
        app.open_run(there.path)
        await opened(pilot, "3")
        await until(pilot, lambda: "Fake GPU" not in screen_text(app))


async def test_ascii_alone(run: RunDir) -> None:
    app = make_app(run, ascii_only=True)
    async with app.run_test(size=(200, 50)) as pilot:
        await opened(pilot, "3")
        for size, key in (((200, 50), "left"), ((80, 24), "down"), ((40, 10), "z"), ((20, 8), "end")):
            await pilot.resize_terminal(*size)
            assert picture_text(app).isascii(), picture_text(app)
            await press(pilot, key)
            assert picture_text(app).isascii(), picture_text(app)
            assert "> " in picture_text(app) or size < (80, 24)


async def test_ascii_without_values(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=0, tokens=30, live=True)
    app = make_app(run, ascii_only=True)
    async with app.run_test(size=(20, 8)) as pilot:
        await press(pilot, "3")
        await until(pilot, lambda: "no value" in screen_text(app))
        assert picture_text(app).isascii(), picture_text(app)


async def test_resize_at_any_moment(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "3")
        for size, zoomed in (((200, 50), True), ((40, 10), False), ((20, 8), True), ((80, 24), False)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await press(pilot, "left", "z")
            assert (len(panels(app)) == 1) == (zoomed or size < (80, 24))
            assert "▲" in picture_text(app)
        await pilot.resize_terminal(200, 50)
        await press(pilot, "home")
        assert panels(app) == NAMES
        assert all(title in picture_text(app) for title in Logged(run).titles(0) if not title.startswith("never"))
