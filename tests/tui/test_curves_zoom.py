"""A stretch of the x axis of Curves: numbers worked by hand, properties, and the screen key by key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rundir.layout import RunDir
from tests.fake_app import make_app, opened, press, screen_lines, screen_text
from tests.fake_run import make_run
from tests.tui.test_curves_strips import line, one_panel, plain
from tui.drawing.frame import ASCII
from tui.screens.curves.model import Panel
from tui.screens.curves.strips import panel_strips, range_text
from tui.screens.curves.zoom import holding, inside, part_of, path_on, values_on, within, zoomed_in, zoomed_out

WHOLE = (0.0, 400.0)


def test_half_and_twice_around_a_place() -> None:
    half = zoomed_in(WHOLE, 100.0, WHOLE, "step")
    assert half == (50.0, 250.0)  # 100 stays a quarter of the way
    assert zoomed_in(half, 100.0, WHOLE, "step") == (75.0, 175.0)
    assert zoomed_out(half, 100.0, WHOLE) == WHOLE
    assert zoomed_in(WHOLE, 400.0, WHOLE, "step") == (200.0, 400.0)
    assert zoomed_out((200.0, 300.0), 200.0, WHOLE) == (200.0, 400.0)
    assert zoomed_in((10.0, 14.0), 12.0, WHOLE, "step") == (10.0, 14.0)  # four steps are the shortest
    assert zoomed_in((1.0, 1.5), 1.0, (0.0, 5.0), "epoch") == (1.0, 1.25)


def test_it_moves_no_more_than_it_must() -> None:
    assert holding((100.0, 200.0), 150.0, WHOLE) == (100.0, 200.0)
    assert holding((100.0, 200.0), 220.0, WHOLE) == (120.0, 220.0)
    assert holding((100.0, 200.0), 0.0, WHOLE) == (0.0, 100.0)
    assert inside((350.0, 450.0), WHOLE) == (300.0, 400.0)


@given(st.floats(0, 400), st.lists(st.sampled_from(["in", "out", "hold"]), max_size=20), st.floats(0, 400))
def test_it_stays_on_the_axis_and_holds_its_place(place: float, moves: list[str], other: float) -> None:
    shown = WHOLE
    for move in moves:
        if move == "hold":
            shown = holding(shown, other, WHOLE)
            assert shown[0] - 1e-6 <= other <= shown[1] + 1e-6
        else:
            inner = holding(shown, place, WHOLE)
            shown = zoomed_in(inner, place, WHOLE, "step") if move == "in" else zoomed_out(inner, place, WHOLE)
            assert shown[0] - 1e-6 <= place <= shown[1] + 1e-6
        assert -1e-6 <= shown[0] < shown[1] <= 400 + 1e-6
        assert shown[1] - shown[0] >= 4 - 1e-6


def test_a_line_reaches_the_edges_and_marks_are_its_own_values() -> None:
    it = line([0, 10, 20], [4, 2, 1])
    path = path_on(it, (5.0, 15.0))
    assert (path.x.tolist(), path.y.tolist()) == ([5.0, 10.0, 15.0], [3.0, 2.0, 1.5])
    assert values_on(it, (5.0, 15.0)).x.tolist() == [10.0]
    assert path_on(it, (-5.0, 10.0)).x.tolist() == [0.0, 10.0]
    assert path_on(it, (12.0, 14.0)).y.tolist() == pytest.approx([1.8, 1.6])
    assert path_on(line([], []), (5.0, 15.0)).x.tolist() == []
    assert within(Panel("Loss", "", (it,)), (5.0, 15.0)).y_limits == (0.0, 3.0)


def test_a_part_is_drawn_and_the_title_keeps_its_values() -> None:
    panel = Panel("Rise", "", (line([0, 5, 10], [0, 0.5, 1], points=True),), limits=(0.0, 1.0))
    whole = one_panel(panel, 10.0)
    part = part_of(whole, (4.0, 8.0))
    assert [strip.text for strip in panel_strips(part, panel, 5.0, 31, 7, plain, ASCII)] == [
        "  Rise  o it 0.50              ",
        "   1.00+     :                 ",
        "       |     :              .  ",
        "   0.50+.....o..............   ",
        "       |     :                 ",
        "   0.00+     :                 ",
        "       +4----^--------8 steps  ",
    ]
    outside = panel_strips(part, panel, 10.0, 21, 5, plain, ASCII)
    assert "1.00" in outside[0].text
    assert "^" not in outside[-1].text
    later = panel_strips(part_of(whole, (20.0, 24.0)), panel, None, 30, 5, plain, ASCII)
    assert "no values here" in later[2].text
    assert part_of(whole, whole.extent) is whole


def test_a_stretch_in_words() -> None:
    assert range_text((120.0, 480.0), "step") == "steps 120 to 480"
    assert range_text((0.5, 1.25), "epoch") == "epochs 0.5 to 1.25"
    assert range_text((30.0, 90.0), "time") == "0:30 to 1:30"


# ---------------------------------------------------------------------------------------------- the screen


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("zoom"), examples=12, snapshots=6, tokens=30)  # 50 steps


def axis(app: Any) -> str:
    """The x axis of the first panel."""
    line: str = next(line for line in screen_lines(app) if "└" in line or "+0" in line)
    return line


def stretch(app: Any) -> tuple[int, int]:
    """What the line above the panels says of the x axis."""
    found = re.search(r"^ steps (\d+) to (\d+)", screen_text(app), re.MULTILINE)
    assert found is not None, screen_text(app)
    return int(found[1]), int(found[2])


async def test_zoom_follows_the_snapshot_and_the_cursor(run: RunDir) -> None:
    app = make_app(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, "3")
        assert "50 steps" in axis(app)
        await press(pilot, "home", "right", "plus")  # the snapshot at step 10
        assert stretch(app) == (5, 30)
        assert "30 steps" in axis(app)
        await press(pilot, "equals_sign")
        assert stretch(app) == (8, 20)
        await press(pilot, "right", "right", "right")  # step 40: moved as far as is needed
        assert stretch(app) == (28, 40)
        await press(pilot, "left")  # step 30 is on it
        assert stretch(app) == (28, 40)
        await press(pilot, *["right_curly_bracket"] * 5)
        assert stretch(app)[1] > 40
        await press(pilot, "minus")
        low, high = stretch(app)
        assert high - low in (24, 25, 26)
        await press(pilot, "1", "3")  # it survives another view
        assert stretch(app) == (low, high)
        await press(pilot, "0")
        assert "50 steps" in axis(app)
        assert "steps 0 to" not in screen_text(app)
        await press(pilot, "plus", "a")  # another axis begins whole
        assert "5 epochs" in axis(app)


async def test_every_size_and_ascii(run: RunDir) -> None:
    for size in ((40, 10), (80, 24), (200, 50)):
        app = make_app(run, ascii_only=True)
        async with app.run_test(size=size) as pilot:
            await opened(pilot, "3")
            await press(pilot, "home", "right", "plus", "plus", "z")
            assert screen_text(app).isascii()
            assert "steps 8 to 20" in screen_text(app)


def test_the_zoomed_axis_in_a_picture(snap_compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    run = make_run(tmp_path / "runs", snapshots=6, tokens=30)
    monkeypatch.chdir(tmp_path)

    async def walk(pilot: Any) -> None:
        await opened(pilot, "3")
        await press(pilot, "home", "right", "right", "plus", "left_curly_bracket")
        pilot.app._unsay()
        await press(pilot)

    assert snap_compare(make_app(run), terminal_size=(100, 30), run_before=walk)
