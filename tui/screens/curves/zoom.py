"""A stretch of the x axis instead of the whole: which one, and what of the curves stands on it. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tui.screens.curves.model import Axis, Curves, Line, Panel

Range = tuple[float, float]
FACTOR = 2.0
LEAST_SHARE = 1 / 4096
"""The shortest stretch, as a share of the whole axis."""
LEAST_STEPS = 4.0


def zoomed_in(shown: Range, around: float, extent: Range, axis: Axis) -> Range:
    """Half of `shown`, with the place `around` where it was."""
    least = max(LEAST_SHARE * (extent[1] - extent[0]), LEAST_STEPS if axis == "step" else 0.0)
    return _scaled(shown, around, min(1.0, max(1 / FACTOR, least / (shown[1] - shown[0]))), extent)


def zoomed_out(shown: Range, around: float, extent: Range) -> Range:
    """Twice of `shown`, with the place `around` where it was; the whole axis at most."""
    return _scaled(shown, around, FACTOR, extent)


def _scaled(shown: Range, around: float, factor: float, extent: Range) -> Range:
    around = min(max(around, shown[0]), shown[1])
    low, high = (around + factor * (edge - around) for edge in shown)
    return inside((low, high), extent)


def inside(shown: Range, extent: Range) -> Range:
    """The stretch moved onto the axis; the whole axis where it is longer."""
    low, high = shown
    if high - low >= extent[1] - extent[0]:
        return extent
    shift = max(0.0, extent[0] - low) - max(0.0, high - extent[1])
    return low + shift, high + shift


def holding(shown: Range, place: float, extent: Range) -> Range:
    """The stretch moved as little as is needed to hold `place`, a place of the axis."""
    low, high = shown
    shift = min(0.0, place - low) + max(0.0, place - high)
    return inside((low + shift, high + shift), extent)


def part_of(curves: Curves, shown: Range) -> Curves:
    """The curves with a stretch of their axis alone; the whole where it is all of it."""
    return curves if shown == curves.extent else replace(curves, window=shown, canvases={})


def within(panel: Panel, shown: Range) -> Panel:
    """What of a panel stands on a stretch of the axis, with a y axis for that alone."""
    return replace(panel, lines=tuple(path_on(line, shown) for line in panel.lines))


def path_on(line: Line, shown: Range) -> Line:
    """The line on the stretch; it reaches the edges where it goes on behind them."""
    own = values_on(line, shown)
    edges = np.array([edge for edge in shown if len(line.x) and line.x[0] < edge < line.x[-1] and edge not in own.x])
    x = np.concatenate([own.x, edges])
    y = np.concatenate([own.y, np.interp(edges, line.x, line.y) if len(edges) else edges])
    order = np.argsort(x, kind="stable")
    return replace(line, x=x[order], y=y[order])


def values_on(line: Line, shown: Range) -> Line:
    """The line's own values on the stretch."""
    keep = (line.x >= shown[0]) & (line.x <= shown[1])
    return replace(line, x=line.x[keep], y=line.y[keep])
