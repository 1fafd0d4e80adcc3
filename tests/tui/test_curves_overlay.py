"""Curves of several runs: numbers worked by hand, and the screen key by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.rundir.layout import RunDir
from tests.fake_app import make_app, opened, press, screen_lines, screen_text, until
from tests.fake_run import append_events, fake_steps, make_run
from tui.app import BertQAApp
from tui.screens.curves.model import Curves, Line, Panel
from tui.screens.curves.overlay import (
    Look,
    OverlaidRun,
    logarithmic,
    looked_at,
    mean_and_spread,
    overlaid,
    smooth,
    x_mapping,
)
from tui.screens.curves.strips import moved, x_text
from tui.settings import Settings

SIZE = (120, 40)


def line(x: list[float], y: list[float], name: str = "it", *, points: bool = False) -> Line:
    return Line(name, np.array(x, np.float64), np.array(y, np.float64), points=points)


def run_of(slot: int, setting: str, *lines: Line) -> OverlaidRun:
    panel = Panel("Loss", "", lines)
    return OverlaidRun(f"run {slot}", slot, setting, Curves((panel,), 10.0, 20.0))


def test_smoothing_is_tensorboards_debiased_average() -> None:
    # 0.5 * 4 = 2, by 1 - 0.5 = 4; 0.5 * 2 + 0.5 * 2 = 2, by 0.75 = 2.667; 0.5 * 2 + 0.5 * 6 = 4, by 0.875 = 4.571
    assert smooth(np.array([4.0, 2.0, 6.0]), 0.5) == pytest.approx([4.0, 8 / 3, 32 / 7])
    assert smooth(np.full(50, 3.0), 0.98) == pytest.approx(np.full(50, 3.0))


def test_steps_become_epochs_and_seconds() -> None:
    steps = np.array([10.0, 20.0])
    epochs, seconds = np.array([1.0, 2.0]), np.array([30.0, 90.0])
    x = np.array([0.0, 5.0, 15.0, 20.0])
    assert x_mapping("step", steps, epochs, seconds)(x).tolist() == x.tolist()
    assert x_mapping("epoch", steps, epochs, seconds)(x).tolist() == [0.0, 0.5, 1.5, 2.0]
    assert x_mapping("time", steps, epochs, seconds)(x).tolist() == [0.0, 15.0, 60.0, 90.0]
    assert x_mapping("time", steps[:0], steps[:0], steps[:0])(x).tolist() == [0.0] * 4


def test_points_of_snapshots_are_not_smoothed() -> None:
    panel = Panel("Loss", "", (line([1, 2], [4, 2]), line([1, 2], [4, 2], points=True)))
    (found,) = looked_at(Curves((panel,), 2.0, 2.0), Look(smoothing=0.5), lambda x: x).panels
    assert found.lines[0].y == pytest.approx([4.0, 8 / 3])
    assert found.lines[1].y.tolist() == [4.0, 2.0]


def test_the_logarithm_is_of_what_is_above_0() -> None:
    free = Panel("Loss", "", (line([1, 2, 3], [0.0, 0.01, 100.0]),))
    fixed = Panel("F1", "", (line([1], [50.0]),), limits=(0.0, 100.0))
    found = logarithmic(Curves((free, fixed), 3.0, 3.0)).panels
    assert (found[0].lines[0].x.tolist(), found[0].lines[0].y.tolist()) == ([2.0, 3.0], [-2.0, 2.0])
    assert found[0].y_limits == (-2.0, 2.0)
    assert found[0].real(-2.0) == pytest.approx(0.01)
    assert found[1] is fixed


def test_runs_stand_in_one_panel_a_line_each() -> None:
    runs = [run_of(n, "a", line([0, 10], [n, n], "training"), line([5], [1], "eval", points=True)) for n in (0, 3)]
    found = overlaid(runs, Look())
    assert [panel.name for panel in found.panels] == ["Loss: training", "Loss: eval"]
    assert [(each.mark, each.role) for each in found.panels[0].lines] == [("o", "first"), ("*", "fourth")]
    assert found.x_limits == (0.0, 20.0)


def test_mean_and_spread_where_all_runs_have_values() -> None:
    lines = [line([0, 2, 4], [0, 2, 4]), line([1, 2, 5], [3, 4, 7])]
    x, low, mean, high = mean_and_spread(lines, "range")
    assert x.tolist() == [1.0, 2.0, 4.0]
    assert (low.tolist(), mean.tolist(), high.tolist()) == ([1, 2, 4], [2, 3, 5], [3, 4, 6])
    x, low, mean, high = mean_and_spread(lines, "std")
    assert high - mean == pytest.approx([2**0.5] * 3)
    assert mean - low == pytest.approx([2**0.5] * 3)
    assert all(len(part) == 0 for part in mean_and_spread([line([], []), line([], [])], "std"))


def test_seeds_of_a_setting_become_one_line_with_edges() -> None:
    runs = [run_of(n, setting, line([0, 10], [n, n])) for n, setting in enumerate("aab")]
    (panel,) = overlaid(runs, Look(band="range")).panels
    assert [(each.mark, each.edge, each.y.tolist()) for each in panel.lines] == [
        ("o", True, [0.0, 0.0]),
        ("o", True, [1.0, 1.0]),
        ("o", False, [0.5, 0.5]),
        ("+", False, [2.0, 2.0]),
    ]


def test_the_cursor_stays_on_the_axis() -> None:
    assert moved(5.0, 1, (0.0, 10.0), 11) == 6.0
    assert moved(5.0, 100, (0.0, 10.0), 11) == 10.0
    assert moved(5.0, -100, (0.0, 10.0), 11) == 0.0
    assert [x_text(90.0, axis) for axis in ("step", "epoch", "time")] == ["90 steps", "90 epochs", "1:30"]


# ---------------------------------------------------------------------------------------------- the screen


@pytest.fixture
def runs(tmp_path: Path) -> list[RunDir]:
    """Three runs on one data set: two differ in their seed alone, one in its batch size too."""
    made = [
        make_run(tmp_path, name=name, examples=20, snapshots=4, seed=seed)
        for name, seed in (("a", 1), ("b", 2), ("c", 1))
    ]
    for number, run in enumerate(made):
        config = json.loads(run.config_file.read_text())
        config["dataset"] = str(tmp_path / "a-data.json")
        config["batch_size"] = 8 if number == 2 else 16
        run.config_file.write_text(json.dumps(config))
    return made


def overlay_app(runs: list[RunDir], **options: Any) -> Any:
    return BertQAApp(
        runs[0].path,
        runs_dir=runs[0].path.parent,
        settings=Settings(),
        remember=False,
        theme_name="dark",
        marked=[run.path for run in runs],
        **options,
    )


def titles(app: Any, name: str) -> str:
    return next(text for text in screen_lines(app) if f" {name} " in text)


async def test_marked_runs_are_overlaid_with_their_marks(runs: list[RunDir], monkeypatch: pytest.MonkeyPatch) -> None:
    app = overlay_app(runs)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "EM and F1: F1" in screen_text(app))
        await until(pilot, lambda: all(len(run.snapshots) == 4 for run in app.view._overlaid.viewers.values()))
        await press(pilot)
        text = screen_text(app)
        for mark, label in zip(
            "ox+", ("batch size 16, seed 1", "batch size 16, seed 2", "batch size 8, seed 1"), strict=True
        ):
            assert f" {mark} {label}" in text
        (losses,) = {text for text in screen_lines(app) if "Loss: training" in text}
        assert [mark in losses for mark in (" o 0.", " x 0.", " + 0.")] == [True] * 3
        await press(pilot, "b")
        assert " o batch size 16 (2 seeds)" in screen_text(app)
        assert "mean of seeds, least to greatest" in screen_text(app)
        assert "seed 2" not in screen_text(app)
        monkeypatch.chdir(runs[0].path.parent)
        await press(pilot, "P")
        picture = Path("a-curves-snapshot-3.svg").read_text()
        assert "batch&#160;size&#160;16&#160;(2&#160;seeds)" in picture
        await press(pilot, "o")
        assert "batch size" not in screen_text(app)
        assert "EM and F1  o EM" in screen_text(app)


async def test_values_under_the_cursor(runs: list[RunDir]) -> None:
    app = overlay_app(runs[:1])
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: " Learning rate " in screen_text(app))
        last = titles(app, "Learning rate")
        await press(pilot, "left_curly_bracket", "left_square_bracket")
        assert "▲" in screen_text(app)
        assert titles(app, "Learning rate") != last
        (steps,) = [part for part in screen_text(app).split("cursor: ")[1:]]
        rate = next(s.learning_rate for s in reversed(app.viewer.steps) if s.step <= float(steps.split(" steps")[0]))
        assert f"{rate:.0e}".replace("e-0", "e-") in titles(app, "Learning rate")
        await press(pilot, "escape")
        assert "▲" not in screen_text(app)
        await press(pilot, "left_square_bracket", "left")
        assert "cursor:" not in screen_text(app)
        assert app.view_state.snapshot == 2


async def test_smoothing_logarithm_and_axis_of_one_run(runs: list[RunDir]) -> None:
    app = make_app(runs[0])
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "3")
        assert "30 steps" in screen_text(app)
        plain = titles(app, "Loss")
        await press(pilot, "s")
        assert "smoothing 0.6" in screen_text(app)
        assert titles(app, "Loss") != plain
        await press(pilot, "s", "s", "s", "y")
        assert titles(app, "Loss").split("eval")[0] == plain.split("eval")[0]
        assert "log y" in screen_text(app)
        await press(pilot, "y", "a")
        assert "3 epochs" in screen_text(app)
        assert "─30 steps" not in screen_text(app)
        await press(pilot, "a", "a")
        assert "─30 steps" in screen_text(app)
        await press(pilot, "b")
        assert "mark them by space in Runs" in screen_text(app)
        await press(pilot, "o")
        assert "no run is marked" in screen_text(app)


async def test_an_overlaid_run_that_trains_is_followed(runs: list[RunDir]) -> None:
    app = overlay_app(runs[:2])
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view._overlaid.viewers)
        (other,) = app.view._overlaid.viewers.values()
        await until(pilot, lambda: len(other.steps) == 30)
        append_events(runs[1], *fake_steps(3, 10, 4))
        await until(pilot, lambda: len(other.steps) == 40)


async def test_space_in_runs_marks_what_curves_overlays(runs: list[RunDir]) -> None:
    app = make_app(runs[0])
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, "6")
        await until(pilot, lambda: "finished" in screen_text(app))
        await press(pilot, "space", "up", "space")
        assert len(app.marked) == 2
        assert "2 marked for Curves" in screen_text(app)
        assert sum(" * " in text for text in screen_lines(app)) == 2
        await press(pilot, "3")
        await until(pilot, lambda: "EM and F1: F1" in screen_text(app))
        assert set(app.view._overlaid.slots) == {*app.marked, runs[0].path}
        await press(pilot, "6", "space")
        assert len(app.marked) == 1


def test_two_settings_as_mean_and_spread(snap_compare: Any, tmp_path: Path) -> None:
    """The README's picture: three seeds of each of two batch sizes."""
    runs = []
    for number in range(6):
        batch, seed = (16, 64)[number // 3], number % 3 + 1
        noise = (2.5, 4.0)[number // 3] + 0.4 * seed
        run = make_run(tmp_path, name=f"run-{number}", examples=60, snapshots=9, tokens=40, seed=seed, noise=noise)
        config = json.loads(run.config_file.read_text()) | {"dataset": str(tmp_path / "run-0-data.json")}
        run.config_file.write_text(json.dumps(config | {"batch_size": batch}))
        runs.append(run)

    async def walk(pilot: Any) -> None:
        app = pilot.app
        await until(pilot, lambda: len(app.view._overlaid.viewers) == 5)
        await until(pilot, lambda: all(len(run.snapshots) == 9 for run in app.view._overlaid.viewers.values()))
        await opened(pilot)
        await press(pilot, "b", "b", *["down"] * 5, "z")
        app._unsay()
        await press(pilot)

    assert snap_compare(overlay_app(runs), terminal_size=(100, 30), run_before=walk)
