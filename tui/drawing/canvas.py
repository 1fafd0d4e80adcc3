"""The one module that knows plotext: strokes on a canvas that is exactly as large as asked for, with our own limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from plotext._figure import _figure_class

BRAILLE = "braille"
AXIS, TICK = "│", "┤"
"""plotext's left axis, without and with a label."""


@dataclass(frozen=True)
class Stroke:
    """Points in the units of the limits, with `marker` (one character, or BRAILLE): joined by lines where `joined`,
    each with all cells between it and y = 0 where `filled`."""

    x: Sequence[float]
    y: Sequence[float]
    marker: str
    joined: bool = False
    filled: bool = False


class CanvasCell(NamedTuple):
    """A character of the canvas and the number of the stroke it belongs to, -1 for none."""

    char: str
    stroke: int


NONE = CanvasCell(" ", -1)


def draw(
    strokes: Sequence[Stroke],
    width: int,
    height: int,
    x_limits: tuple[float, float],
    y_limits: tuple[float, float],
    *,
    y_ticks: Mapping[float, str] | None = None,
) -> list[list[CanvasCell]]:
    """`height` rows of `width` cells, top row first. Later strokes are drawn over earlier ones.

    The limits are the coordinates of the middle of the first and last cell. With `y_ticks` (labels by value, all
    as long, no two in one row) each row begins with a label or blanks and a cell of the axis, within `width`.
    """
    filled = [(number, stroke) for number, stroke in enumerate(strokes) if len(stroke.x)]
    if (not filled and not y_ticks) or width < 1 or height < 1:
        return [[NONE] * width for _ in range(height)]
    # A new figure every time: build() writes its limits back into the figure, and would clip what comes later.
    figure: Any = _figure_class()
    figure._limit_size(False, False)  # else it is cut to the terminal plotext sees
    figure.plot_size(width, height)
    figure.frame(False)
    figure.xaxes(False, False)
    figure.yaxes(bool(y_ticks), False)
    figure.xfrequency(0)
    figure.yfrequency(0)
    if y_ticks:
        figure.yticks(list(y_ticks), list(y_ticks.values()))
        figure.scatter([x_limits[0]], [y_limits[0]], marker=" ", color="default")  # without a point, no ticks
    for number, stroke in filled:
        put = figure.plot if stroke.joined and len(stroke.x) > 1 else figure.scatter
        put(list(stroke.x), list(stroke.y), marker=stroke.marker, color=number, fillx=stroke.filled)
    figure.xlim(*x_limits)
    figure.ylim(*y_limits)
    figure.build()
    matrix = figure.monitor.matrix  # its first row is the lowest
    return [
        [CanvasCell(char, color if isinstance(color, int) else -1) for char, color in zip(chars, colors, strict=True)]
        for chars, colors in zip(reversed(matrix.marker), reversed(matrix.fullground), strict=True)
    ]
