"""The Spans screen, key by key."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_name
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, settle, until
from tests.fake_run import append_snapshot, fake_set, make_run, seem_alive
from tui.screens.spans.strips import GUTTER
from tui.widgets.picture import Picture


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("spans"), examples=60, snapshots=5, tokens=50, has_impossible=True)


def column(run: RunDir, position: int, name: str) -> list[float]:
    return [float(value) for value in Snapshot(run.path / snapshot_name(position)).column(name)]


async def test_rows_say_what_the_snapshot_holds(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(180, 40)) as pilot:
        await opened(pilot, "2")
        iou, f1 = column(run, 4, "iou"), column(run, 4, "f1")
        rows = [
            line for line in screen_lines(app) if line.lstrip("›↑↓ ").split(" ")[0].isdigit() and "what helps" in line
        ]
        assert len(rows) > 10
        for line in rows:
            cells = line.lstrip("›↑↓ ").split()
            number = int(cells[0]) - 1
            assert cells[1] == f"fake-{number}"
            assert cells[4] == f"{iou[number]:.2f}"
            assert cells[6] == f"{f1[number]:.2f}"


async def test_a_flip_keeps_order_and_cursor(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "2")
        await press(pilot, "s", "s", "down", "down")
        view, order = app.view, app.view.order.rows.tolist()
        example = view.order.example
        assert order != sorted(order)
        for key, position in (("left", 3), ("left", 2), ("home", 0), ("end", 4)):
            await press(pilot, key)
            assert app.view_state.snapshot == position
            assert view.order.rows.tolist() == order
            assert view.order.example == app.view_state.example == example
        assert "by IoU, as at epoch 4" in screen_text(app)
        await press(pilot, "home", "o")
        assert "as at untrained" in screen_text(app)
        assert view.order.rows.tolist() != order


async def test_filters_and_search(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "2")
        right = [value == 1 for value in column(run, 4, "exact_match")]
        before = [value == 1 for value in column(run, 3, "exact_match")]
        wanted = {
            "wrong": [n for n in range(60) if not right[n]],
            "right": [n for n in range(60) if right[n]],
            "learned": [n for n in range(60) if right[n] and not before[n]],
            "forgotten": [n for n in range(60) if before[n] and not right[n]],
            "impossible": list(range(3, 60, 4)),
            "all": list(range(60)),
        }
        for name, rows in wanted.items():
            await press(pilot, "t")
            assert app.view.order.show == name
            assert app.view.order.rows.tolist() == rows
        await press(pilot, "slash", *"fake-7", "enter")
        assert app.view.order.rows.tolist() == [7]
        assert app.view_state.example == 7
        assert "with “fake-7”" in screen_text(app)
        await press(pilot, "slash", *"no such thing", "enter")
        assert "no example fits" in screen_text(app)
        await press(pilot, "slash", "enter")
        assert len(app.view.order.rows) == 60


async def test_enter_opens_the_example_in_journey(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2")
        await press(pilot, "j", "j", "k", "pagedown", "enter")
        assert app.view_name == "journey"
        example = app.view_state.example
        assert example > 5
        await press(pilot, "2", "pageup")
        assert app.view_state.example < example


async def test_charts_width_and_long_spans(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(pilot, "2")
        told = []
        for _ in range(4):
            await press(pilot, "v")
            text = screen_text(app)
            told.append((text.count("▀ expected"), text.count("▄ predicted")))
        assert sorted(told) == [(0, 1), (1, 0), (1, 1), (2, 2)]
        pages = set()
        for _ in range(3):
            await press(pilot, "z")
            pages.add(next((line for line in screen_lines(app) if "60 examples" in line), ""))
        assert len(pages) == 3
        await press(pilot, "n")
        assert "spans under 100 tokens" in screen_text(app)
        await press(pilot, "n")
        assert "spans under" not in screen_text(app)


async def test_a_click_in_the_chart_chooses_its_example(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2")
        await pilot.click("#span-chart", offset=(GUTTER + 2 * 9, 3))
        await settle(pilot)
        assert app.view_state.example == 9
        await pilot.click("#span-chart", offset=(1, 3))
        assert app.view_state.example == 9
        table = app.view.table
        await pilot.click("#span-table", offset=(10, 2))
        await settle(pilot)
        first = app.view_state.example
        await pilot.click("#span-table", offset=(10, 3))
        await settle(pilot)
        assert app.view_state.example == first + 1
        heading = screen_lines(app)[table.region.y]
        await pilot.click("#span-table", offset=(heading.index("IoU"), 0))
        await settle(pilot)
        assert app.view.order.sort == "IoU"


async def test_the_cursor_stands_on_its_column(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2")
        for example in (0, 5, 36, 37, 59):
            app.go_to_example(example)
            await settle(pilot)
            chart = app.view.query_one("#span-chart", Picture)
            lines = screen_lines(app)[chart.region.y : chart.region.bottom]
            floor = next(line for line in lines if line.lstrip().startswith("└"))
            assert floor.index("▲") == GUTTER + 2 * (example % 37)


async def test_waiting_states(tmp_path: Path) -> None:
    app = make_app(None, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        assert "no run is open" in screen_text(app)
    run = make_run(tmp_path, examples=6, snapshots=0, tokens=30, live=True)
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        assert "waiting for the first snapshot" in screen_text(app)
        for key in ("s", "t", "v", "z", "n", "o", "down", "up", "pagedown", "pageup", "left", "right"):
            await press(pilot, key)
        made = fake_set(6, tokens=30)
        append_snapshot(run, made, 0, progress=0.0)
        await until(pilot, lambda: "6 examples" in screen_text(app))


async def test_a_new_snapshot_is_followed_and_never_moves_a_reader(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30, live=True)
    seem_alive(run)
    made = fake_set(8, tokens=30)
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2")
        append_snapshot(run, made, 3)
        await until(pilot, lambda: app.view_state.snapshot == 3)
        await press(pilot, "left", "left")
        append_snapshot(run, made, 4)
        await until(pilot, lambda: len(app.viewer.snapshots) == 5)
        assert app.view_state.snapshot == 1


async def test_a_damaged_snapshot_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=3, tokens=30)
    (run.path / snapshot_name(1)).write_bytes(b"nothing")
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2")
        await press(pilot, "left")
        assert "can't be read" in screen_text(app)
        await press(pilot, "left")
        assert "8 examples" in screen_text(app)


async def test_ascii_alone(run: RunDir) -> None:
    app = make_app(run, ascii_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, "2")
        await press(pilot, "t")
        picture = app.view.region
        for line in screen_lines(app)[picture.y : picture.bottom]:
            assert line.replace("█", "").isascii() or "▁" in line, line


async def test_resize_at_any_moment(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2")
        for size in ((200, 50), (40, 10), (20, 8), (100, 30)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await press(pilot, "down", "left")
        await until(pilot, lambda: "question" in screen_text(app))
