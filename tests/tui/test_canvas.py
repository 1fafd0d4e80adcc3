"""The canvas: plotext's private parts that it needs, exact cells, filled bars, an axis with labels."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import plotext
from hypothesis import given, settings
from hypothesis import strategies as st
from plotext import _figure

from tui.drawing.canvas import AXIS, TICK, Stroke, draw

ADVICE = (
    "tui/drawing/canvas.py is the one place that uses it: find what plotext {version} has in its stead and change "
    "`draw` there, or pin the last version that had it in pyproject.toml and constraints.txt."
)


def advice(name: str) -> str:
    return f"plotext has no `{name}` any more. " + ADVICE.format(version=getattr(plotext, "__version__", "now"))


def test_the_private_parts_of_plotext_in_use() -> None:
    assert hasattr(_figure, "_figure_class"), advice("_figure._figure_class")
    figure = _figure._figure_class()
    assert hasattr(figure, "_limit_size"), advice("_figure_class._limit_size")
    assert len(inspect.signature(figure._limit_size).parameters) == 2, advice("_limit_size(width, height)")
    figure._limit_size(False, False)
    assert list(figure.plot_size(3000, 5)) == [3000, 5], advice("_limit_size, which lets a canvas be of any size")
    figure.scatter([0, 1], [0, 1], marker="x", color=7)
    figure.build()
    assert hasattr(figure, "monitor"), advice("_figure_class.monitor")
    assert hasattr(figure.monitor, "matrix"), advice("monitor.matrix")
    matrix = figure.monitor.matrix
    assert hasattr(matrix, "marker"), advice("matrix.marker")
    assert hasattr(matrix, "fullground"), advice("matrix.fullground")
    found = [
        (char, color)
        for chars, colors in zip(matrix.marker, matrix.fullground, strict=True)
        for char, color in zip(chars, colors, strict=True)
        if color == 7
    ]
    assert found == [("x", 7), ("x", 7)], advice("matrix.marker with the color of each cell in matrix.fullground")


def text(cells: Sequence[Sequence[tuple[str, int]]]) -> list[str]:
    return ["".join(char for char, _ in row) for row in cells]


def test_an_axis_with_labels_and_bars_from_zero() -> None:
    bars = Stroke([0, 1, 2, 3], [2, 1, -1, -2], "#", filled=True)
    ticks = {-1.5: " -2 ", 0.5: "  0 ", 2.5: "  2 "}
    drawn = draw([bars], 9, 5, (0, 3), (-1.5, 2.5), y_ticks=ticks)
    assert text(drawn) == ["  2 ┤#   ", "    │##  ", "  0 ┤##  ", "    │  ##", " -2 ┤   #"]
    assert [cell.stroke for cell in drawn[0]] == [-1] * 5 + [0, -1, -1, -1]
    assert text(draw([], 6, 2, (0, 1), (0.0, 1.0), y_ticks={0.0: "0 ", 1.0: "1 "})) == ["1 ┤   ", "0 ┤   "]


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 300), st.integers(2, 40), st.data())
def test_columns_rows_and_labels_are_exact_at_every_size(width: int, height: int, data: st.DataObject) -> None:
    unit = data.draw(st.floats(1e-4, 1e4))
    zero = data.draw(st.integers(0, height))
    column, row = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    middle = [(number - zero + 0.5) * unit for number in range(height)]
    point = Stroke([column], [middle[row]], "x")
    drawn = draw([point], width + 3, height, (0, width - 1), (middle[0], middle[-1]), y_ticks={middle[row]: "t "})
    at = [(x, y) for y, line in enumerate(reversed(drawn)) for x, cell in enumerate(line) if cell.stroke == 0]
    assert at == [(column + 3, row)]
    assert [line[2].char for line in reversed(drawn)] == [TICK if y == row else AXIS for y in range(height)]
