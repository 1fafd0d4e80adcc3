"""Curves of one run or of several as they are looked at: another x axis, smoothed, logarithmic, overlaid, with the mean
and spread of runs that differ in their seed alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np

from tui.screens.curves.model import AXES, MARKS, RUN_ROLES, Axis, Curves, Floats, Line, Panel

SMOOTHINGS = (0.0, 0.6, 0.9, 0.98)
Band = Literal["", "range", "std"]
BANDS: tuple[Band, ...] = ("", "range", "std")
BAND_WORDS = {"": "", "range": "mean of seeds, least to greatest", "std": "mean of seeds ± standard deviation"}
MOST_RUNS = len(MARKS)


@dataclass(frozen=True)
class Look:
    """How curves are looked at. `smoothing` is TensorBoard's weight (0: none) for what is known at every step; `log`
    is for panels without a fixed scale."""

    axis: Axis = "step"
    smoothing: float = 0.0
    log: bool = False
    band: Band = ""

    @property
    def words(self) -> str:
        """What differs from the plain curves, in words."""
        parts = [
            f"x: {self.axis}" if self.axis != AXES[0] else "",
            f"smoothing {self.smoothing:g}" if self.smoothing else "",
            "log y" if self.log else "",
            BAND_WORDS[self.band],
        ]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class OverlaidRun:
    """One run of several: `label` names it in the legend, `slot` is its colour and mark, which it keeps; runs of one
    `setting` differ in their seed alone."""

    label: str
    slot: int
    setting: str
    curves: Curves


Choice = TypeVar("Choice")


def following(choices: Sequence[Choice], now: Choice) -> Choice:
    """The choice after `now`, or again the first."""
    return choices[(choices.index(now) + 1) % len(choices)]


XOf = Callable[[Floats], Floats]


def x_mapping(axis: Axis, step: Floats, epoch: Floats, seconds: Floats) -> XOf:
    """The function from steps to places on `axis`, through a run's step events (float64[n]); `seconds` count from the
    run's start."""
    known = {"epoch": epoch, "time": seconds}.get(axis)
    if known is None:
        return lambda x: x
    if not len(step):
        return lambda x: np.zeros_like(x)
    steps, places = np.concatenate([[0.0], step]), np.concatenate([[0.0], known])
    return lambda x: np.interp(x, steps, places)


def looked_at(curves: Curves, look: Look, x_of: XOf) -> Curves:
    """The curves on the axis of `look`, smoothed."""
    panels = tuple(
        replace(panel, lines=tuple(_line(line, look, x_of) for line in panel.lines)) for panel in curves.panels
    )
    if look.axis == "step":
        return Curves(panels, curves.last_step, curves.total_steps)
    last = max((float(line.x[-1]) for panel in panels for line in panel.lines if len(line.x)), default=0.0)
    return Curves(panels, last, 0.0, axis=look.axis)


def _line(line: Line, look: Look, x_of: XOf) -> Line:
    y = line.y if line.points or not look.smoothing else smooth(line.y, look.smoothing)
    return replace(line, x=x_of(line.x), y=y)


def logarithmic(curves: Curves) -> Curves:
    """The curves with the decimal logarithms of what is above 0, in the panels without a fixed scale."""
    return replace(curves, panels=tuple(panel if panel.limits else _log(panel) for panel in curves.panels), canvases={})


def _log(panel: Panel) -> Panel:
    above = [(line, line.y > 0) for line in panel.lines]
    lines = tuple(replace(line, x=line.x[keep], y=np.log10(line.y[keep])) for line, keep in above)
    levels = tuple(replace(level, y=float(np.log10(level.y))) for level in panel.levels if level.y > 0)
    return replace(panel, lines=lines, levels=levels, log=True)


def smooth(values: Floats, weight: float) -> Floats:
    """TensorBoard's exponential moving average of finite values, divided by the weight that was given out so far
    (1 - weight**n), so that it does not begin near 0."""
    smoothed, last = np.empty_like(values), 0.0
    for number, value in enumerate(values.tolist()):
        last = last * weight + (1 - weight) * value
        smoothed[number] = last / (1 - weight ** (number + 1))
    return smoothed


def overlaid(runs: Sequence[OverlaidRun], look: Look) -> Curves:
    """A panel for each line that the runs' panels have, with a line for each run, or with `look.band` the mean and the
    spread of each setting in the colour of its first run."""
    found: dict[str, tuple[Panel, list[tuple[OverlaidRun, Line]]]] = {}
    for run in runs:
        for panel in run.curves.panels:
            own = [line for line in panel.lines if not line.sample]  # of runs with other samples they say nothing
            for line in own:
                name = panel.name if len(own) == 1 else f"{panel.name}: {line.name}"
                found.setdefault(name, (panel, []))[1].append((run, line))
    panels = tuple(
        replace(panel, name=name, lines=tuple(_lines(entries, look.band))) for name, (panel, entries) in found.items()
    )
    return Curves(
        panels,
        max((run.curves.last_step for run in runs), default=0.0),
        max((run.curves.total_steps for run in runs), default=0.0),
        axis=look.axis,
    )


def _lines(entries: Sequence[tuple[OverlaidRun, Line]], band: Band) -> list[Line]:
    lines = []
    for members in by_setting([run for run, _ in entries], band):
        of = [next(line for run, line in entries if run is member) for member in members]
        slot = members[0].slot
        own: dict[str, Any] = {"name": "", "role": RUN_ROLES[slot], "mark": MARKS[slot]}
        if len(of) == 1:
            lines.append(replace(of[0], **own))
            continue
        x, low, mean, high = mean_and_spread(of, band)
        edge = {**own, "points": False, "edge": True}
        lines += [replace(of[0], x=x, y=y, **edge) for y in (low, high)]
        lines.append(replace(of[0], x=x, y=mean, **own))
    return lines


def by_setting(runs: Sequence[OverlaidRun], band: Band) -> list[list[OverlaidRun]]:
    """The runs that are one line: those of a setting, or without `band` each alone."""
    groups: dict[str, list[OverlaidRun]] = {}
    for run in runs:
        groups.setdefault(run.setting if band else str(run.slot), []).append(run)
    return list(groups.values())


def mean_and_spread(lines: Sequence[Line], band: Band) -> tuple[Floats, Floats, Floats, Floats]:
    """x, lower edge, mean and upper edge (float64[n] each) of lines, where all of them have values: at every x that one
    of them has, the others interpolated. The edges are the least and the greatest, or the mean ± the sample standard
    deviation."""
    filled = [line for line in lines if len(line.x)]
    if not filled:
        return (np.zeros(0),) * 4
    x = np.unique(np.concatenate([line.x for line in filled]))
    x = x[(x >= max(line.x[0] for line in filled)) & (x <= min(line.x[-1] for line in filled))]
    values = np.stack([np.interp(x, line.x, line.y) for line in filled])
    mean = values.mean(axis=0)
    if band == "range" or len(filled) < 2:
        return x, values.min(axis=0), mean, values.max(axis=0)
    std = values.std(axis=0, ddof=1)
    return x, mean - std, mean, mean + std
