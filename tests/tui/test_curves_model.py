"""Curves as numbers: panels, limits, thinning that keeps spikes, short labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import Metrics, SnapshotTaken
from tui.drawing.format import value_text
from tui.screens.curves.model import Human, Line, StepColumns, curves, nice_ceiling, thin


def steps(n: int = 20) -> StepColumns:
    step = np.arange(1.0, n + 1)
    return StepColumns(step, 4 / step, step * 1e-5, step * 0 + 40, step * 0 + 6000, step * 0 + 2**30)


def snapshot(index: int, *, parts: bool = False) -> SnapshotTaken:
    metrics = Metrics(
        examples=10, start_accuracy=index / 4, end_accuracy=index / 5, exact_match=index * 20, f1=index * 22, loss=1.0
    )
    return SnapshotTaken(
        index=index,
        label=f"epoch {index}",
        step=index * 5,
        epoch=index,
        file="",
        metrics=metrics,
        seen=metrics if parts else None,
        unseen=metrics if parts else None,
    )


def test_panels_of_a_run() -> None:
    found = curves(steps(), [snapshot(0), snapshot(2)], total_steps=40)
    assert [panel.name for panel in found.panels] == [
        "Loss",
        "Accuracy",
        "EM and F1",
        "Learning rate",
        "Throughput",
        "Memory",
    ]
    accuracy = found.panels[1]
    assert accuracy.y_limits == (0.0, 1.0)
    assert accuracy.lines[0].x.tolist() == [0.0, 10.0]
    assert accuracy.lines[1].y.tolist() == [0.0, 0.4]
    assert found.x_limits == (0.0, 40.0)


def test_seen_and_unseen_get_a_panel_of_their_own() -> None:
    found = curves(steps(), [snapshot(1, parts=True)])
    assert [line.name for line in found.panels[3].lines] == ["seen in training", "never seen"]


def test_people_are_a_level() -> None:
    found = curves(steps(), [], human=Human(81.5, 91.0))
    assert [(level.name, level.y) for level in found.panels[2].levels] == [("people EM", 81.5), ("people F1", 91.0)]


def test_a_run_without_steps_has_empty_panels() -> None:
    nothing = np.zeros(0)
    found = curves(StepColumns(*[nothing] * 6), [])
    assert all(panel.empty for panel in found.panels)
    assert found.x_limits == (0.0, 1.0)
    assert found.panels[0].y_limits == (0.0, 1.0)


def test_a_loss_that_is_not_a_number_is_left_out() -> None:
    broken = steps(4)
    broken.loss[2] = np.nan
    line = curves(broken, []).panels[0].lines[0]
    assert line.x.tolist() == [1, 2, 4]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=2000), st.integers(1, 50))
def test_thinning_keeps_order_and_extremes(values: list[float], columns: int) -> None:
    line = Line("", np.arange(len(values), dtype=np.float64), np.array(values))
    thinned = thin(line, (0.0, float(len(values))), columns)
    assert len(thinned.x) <= max(2 * columns, 0) or len(values) <= 2 * columns
    assert (np.diff(thinned.x) > 0).all()
    assert thinned.y.max() == line.y.max()
    assert thinned.y.min() == line.y.min()


@settings(deadline=None)
@given(st.floats(1e-9, 1e12))
def test_a_nice_ceiling_is_near_and_not_below(value: float) -> None:
    assert value * (1 - 1e-9) <= nice_ceiling(value) <= value * 2.01


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (None, "plain", "-"),
        (float("nan"), "plain", "-"),
        (0.935, "percent", "0.94"),
        (12.345, "plain", "12.3"),
        (100.0, "plain", "100"),
        (3e-4, "rate", "3e-4"),
        (0.0, "rate", "0"),
        (6000.0, "count", "6.0k"),
        (2_500_000.0, "count", "2.5M"),
        (12.0, "count", "12"),
        (1.5 * 2**30, "bytes", "1.5GiB"),
        (512 * 2**20, "bytes", "512MiB"),
        (10.0, "bytes", "10B"),
    ],
)
def test_values_are_short(value: float | None, style: str, text: str) -> None:
    assert value_text(value, style) == text
