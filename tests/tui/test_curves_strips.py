"""Curves as text: lines that go up where values do, exact columns for snapshots, levels, panels that fit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style

from engine.events import Metrics, SnapshotTaken
from tui.drawing.canvas import Stroke, draw
from tui.drawing.frame import ASCII, UNICODE
from tui.screens.curves.model import Curves, Human, Level, Line, Panel, StepColumns, curves
from tui.screens.curves.strips import GUTTER, MARGIN, grid_strips, panel_strips, share_grid, value_at


def plain(role: str) -> Style:
    return Style.null()


def line(x: list[float], y: list[float], *, points: bool = False) -> Line:
    return Line("it", np.array(x, np.float64), np.array(y, np.float64), points=points)


def one_panel(panel: Panel, last: float) -> Curves:
    return Curves((panel,), last, last)


def test_a_rising_line_rises() -> None:
    panel = Panel("Rise", "", (line([0, 5, 10], [0, 0.5, 1], points=True),), limits=(0.0, 1.0))
    strips = panel_strips(one_panel(panel, 10.0), panel, 5.0, 21, 7, plain, ASCII)
    assert [strip.text for strip in strips] == [
        "  Rise  o it 0.50    ",
        "   1.00+     :    o  ",
        "       |     :  ..   ",
        "   0.50+     o..     ",
        "       |   ..:       ",
        "   0.00+o..  :       ",
        "       +0----^-----  ",
    ]
    strips = panel_strips(one_panel(panel, 10.0), panel, 10.0, 30, 4, plain, ASCII)
    assert strips[-1].text == "       +0----------10 steps^  "


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500), st.integers(30, 250), st.integers(4, 40), st.data())
def test_a_snapshot_stands_on_the_column_of_its_guide(last: int, width: int, height: int, data: st.DataObject) -> None:
    step = float(data.draw(st.integers(0, last)))
    value = data.draw(st.floats(0, 1))
    panel = Panel("One", "", (line([step], [value], points=True),), limits=(0.0, 1.0))
    strips = panel_strips(one_panel(panel, float(last)), panel, step, width, height, plain, ASCII)
    assert len(strips) == height
    assert {strip.cell_length for strip in strips} == {width}
    lines = [strip.text[GUTTER : width - MARGIN] for strip in strips]
    marked = {place for text in lines[1:-1] for place, char in enumerate(text) if char == "o"}
    assert marked == {lines[-1].index("^")}


def test_values_are_those_at_the_snapshot() -> None:
    it = line([0, 5, 10], [1, 2, 3])
    assert [value_at(it, step) for step in (None, 0.0, 6.0, -1.0)] == [3.0, 1.0, 2.0, None]


def test_a_level_is_drawn_and_named() -> None:
    panel = Panel("EM", "", (line([0], [10], points=True),), (Level("people EM", 80.0),), limits=(0.0, 100.0))
    text = [s.text for s in panel_strips(one_panel(panel, 10.0), panel, None, 60, 13, plain, UNICODE)]
    assert "╌ people EM 80.0" in text[0]
    assert text[3].startswith("       │╌ ╌ ╌")
    assert text[3].rstrip().endswith("people EM")


def test_an_empty_panel_says_so() -> None:
    panel = Panel("Loss", "", (line([], []),))
    text = "\n".join(s.text for s in panel_strips(one_panel(panel, 1.0), panel, None, 40, 8, plain))
    assert "no values yet" in text


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(10, 400), st.integers(2, 80), st.booleans(), st.data())
def test_the_chosen_panel_is_always_in_view(
    panels: int, width: int, height: int, zoomed: bool, data: st.DataObject
) -> None:
    chosen = data.draw(st.integers(0, panels - 1))
    grid = share_grid(panels, chosen, width, height, zoomed=zoomed)
    assert grid.first <= chosen < grid.last
    assert grid.across * grid.width <= width
    assert -(-(grid.last - grid.first) // grid.across) * grid.height <= height


def test_the_grid_fills_every_size() -> None:
    step = np.arange(1.0, 2001)
    made = StepColumns(step, 4 / step, step * 1e-7, step, step + 6000, step * 1e6)
    metrics = Metrics(examples=4, start_accuracy=0.5, end_accuracy=0.4, exact_match=30, f1=40, loss=1.0)
    taken = [
        SnapshotTaken(index=i, label=f"epoch {i}", step=i * 400, epoch=i, file="", metrics=metrics) for i in range(6)
    ]
    found = curves(made, taken, human=Human(80, 90))
    for width, height in ((80, 19), (100, 25), (200, 45), (20, 4), (8, 2)):
        for zoomed in (False, True):
            strips = grid_strips(found, 1, 800.0, width, height, plain, zoomed=zoomed)
            assert len(strips) == height
            assert {strip.cell_length for strip in strips} == {width}


def test_nothing_to_draw_is_blank() -> None:
    cells = draw([Stroke([], [], "x", joined=True)], 4, 2, (0, 1), (0, 1))
    assert [[cell.char for cell in row] for row in cells] == [[" "] * 4] * 2
    assert draw([Stroke([0], [0], "x", joined=True)], 0, 2, (0, 1), (0, 1)) == [[], []]


def test_ascii_panels_are_ascii() -> None:
    panel = Panel("Loss", "", (line([0, 1, 2], [3, 2, 1]), line([0, 2], [2, 2], points=True)), (Level("l", 1.0),))
    for strip in panel_strips(one_panel(panel, 2.0), panel, 1.0, 40, 10, plain, ASCII, chosen=True):
        assert strip.text.isascii()
