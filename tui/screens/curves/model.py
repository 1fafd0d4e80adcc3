"""The curves of a run as numbers: which panels there are, their lines, limits and levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.events import Metrics, SnapshotTaken, metric_table

if TYPE_CHECKING:
    from tui.drawing.canvas import CanvasCell

    Canvas = tuple[list[str], list[list[CanvasCell]]]
Floats = NDArray[np.float64]
Role = Literal["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "level"]
ROLES: tuple[Role, ...] = ("first", "second", "third")
RUN_ROLES: tuple[Role, ...] = (*ROLES, "fourth", "fifth", "sixth", "seventh", "eighth")
MARKS = "ox+*#@%&"
"""Colours and marks of overlaid runs."""
Axis = Literal["step", "epoch", "time"]
AXES: tuple[Axis, ...] = ("step", "epoch", "time")
LOSS = "Loss"
REQUIRED_METRICS = frozenset(field.name for field in msgspec.structs.fields(Metrics) if field.required)
UNITS: dict[float | None, str] = {1.0: "share of examples", 100.0: "0 to 100"}
"""What the axis of a metric shows, by its highest value."""


@dataclass(frozen=True)
class Line:
    """One line of a panel. `points` marks its values one by one (snapshots); else they are joined (steps). `mark`: that
    of its run, where several are overlaid; `edge`: the border of a spread, which the title does not name; `sample`:
    points of snapshots at which only a sample is scored, which are never joined."""

    name: str
    x: Floats
    y: Floats
    role: Role = "first"
    points: bool = False
    mark: str = ""
    edge: bool = False
    sample: bool = False

    @property
    def last(self) -> float | None:
        return float(self.y[-1]) if len(self.y) else None


@dataclass(frozen=True)
class Level:
    """A horizontal line to compare with, such as people's own score."""

    name: str
    y: float


@dataclass(frozen=True)
class Panel:
    """One chart: lines over steps. `limits` fixes the y axis; without it the lines and levels do. In a panel with `log`
    lines and levels are decimal logarithms; `real` gives the values."""

    name: str
    unit: str
    lines: tuple[Line, ...]
    levels: tuple[Level, ...] = ()
    limits: tuple[float, float] | None = None
    style: Literal["plain", "percent", "rate", "bytes", "count"] = "plain"
    log: bool = False

    def real(self, y: float | None) -> float | None:
        """The value that is drawn at `y`."""
        return y if y is None or not self.log else 10.0**y

    @property
    def empty(self) -> bool:
        return not any(len(line.y) for line in self.lines)

    @property
    def y_limits(self) -> tuple[float, float]:
        """Where the y axis begins and ends."""
        if self.limits is not None:
            return self.limits
        values = np.concatenate([line.y for line in self.lines] + [np.array([lv.y for lv in self.levels])])
        values = values[np.isfinite(values)]
        if not len(values):
            return 0.0, 1.0
        if self.log:
            low, high = float(values.min()), float(values.max())
            return (low, high) if high > low else (low - 0.5, high + 0.5)
        top = nice_ceiling(float(values.max()))
        low = min(0.0, float(values.min()))
        return low, top if top > low else low + 1.0


@dataclass(frozen=True)
class StepColumns:
    """The step events of a run, column by column, float64[n]."""

    step: Floats
    loss: Floats
    learning_rate: Floats
    examples_per_second: Floats
    tokens_per_second: Floats
    memory: Floats


@dataclass(frozen=True)
class Human:
    """People's own EM and F1 (0 to 100) against each other, where a data set has several golds a question."""

    exact_match: float
    f1: float


@dataclass(frozen=True)
class Curves:
    """All panels, and the range of steps (epochs, or seconds from a run's start) they share."""

    panels: tuple[Panel, ...]
    last_step: float
    total_steps: float
    axis: Axis = "step"
    window: tuple[float, float] | None = None
    """The stretch of the axis that is shown; None: all of it."""
    canvases: dict[tuple[str, int, int, str], Canvas] = field(default_factory=dict, compare=False)
    """What was drawn of these curves, kept by whoever draws: another snapshot moves only the guide."""

    @property
    def x_limits(self) -> tuple[float, float]:
        """Where the x axis begins and ends."""
        return self.window or self.extent

    @property
    def extent(self) -> tuple[float, float]:
        """Where the whole x axis begins and ends."""
        return 0.0, max(1.0 if self.axis == "step" else 1e-3, self.total_steps, self.last_step)


def curves(
    steps: StepColumns, snapshots: Sequence[SnapshotTaken], *, total_steps: int = 0, human: Human | None = None
) -> Curves:
    """The panels of a run: loss, the metrics of its snapshots, F1 on seen against unseen passages where both are there,
    learning rate, throughput, memory."""
    panels = [
        *_score_panels(steps, snapshots, human),
        *_passage_panel(snapshots),
        Panel("Learning rate", "", (_joined("rate", steps.step, steps.learning_rate),), style="rate"),
        Panel(
            "Throughput",
            "tokens a second",
            (_joined("tokens/s", steps.step, steps.tokens_per_second),),
            style="count",
        ),
        Panel("Memory", "", (_joined("in use", steps.step, steps.memory),), style="bytes"),
    ]
    last = max([*steps.step[-1:].tolist(), *(float(snapshot.step) for snapshot in snapshots)], default=0.0)
    return Curves(tuple(panels), last, float(total_steps))


def _score_panels(steps: StepColumns, snapshots: Sequence[SnapshotTaken], human: Human | None) -> list[Panel]:
    """A panel for each one that the table of metrics names, the loss first, where the training loss stands too."""
    lines: dict[str, list[Line]] = {LOSS: [_joined("training", steps.step, steps.loss)]}
    levels: dict[str, list[Level]] = {}
    tops: dict[str, float | None] = {}
    wanted = {LOSS: True}  # a panel of metrics that not every data set has stands only where there are values
    people = {"exact_match": human.exact_match, "f1": human.f1} if human else {}
    for name, metric in metric_table().items():
        panel = lines.setdefault(metric.panel, [])
        label = "eval" if metric.panel == LOSS else metric.short
        role = ROLES[sum(not line.sample for line in panel) % len(ROLES)]
        points = _points(label, snapshots, name, role=role)
        panel += points
        tops[metric.panel] = metric.top
        known = any(len(line.y) for line in points)
        wanted[metric.panel] = wanted.get(metric.panel, False) or name in REQUIRED_METRICS or known
        if name in people:
            levels.setdefault(metric.panel, []).append(Level(f"people {metric.short}", people[name]))
    return [
        Panel(
            name,
            UNITS.get(top, ""),
            tuple(lines[name]),
            tuple(levels.get(name, ())),
            limits=None if top is None else (0.0, top),
            style="percent" if top == 1 else "plain",
        )
        for name, top in ((name, tops.get(name)) for name in lines)
        if wanted[name]
    ]


def _passage_panel(snapshots: Sequence[SnapshotTaken]) -> list[Panel]:
    """F1 on passages that training saw and on others; nothing where a run has only one kind."""
    seen = _points("seen in training", snapshots, "f1", of="seen")
    unseen = _points("never seen", snapshots, "f1", of="unseen", role="second")
    if not any(len(line.y) for line in seen) or not any(len(line.y) for line in unseen):
        return []
    return [Panel("F1 by passage", UNITS[100.0], (*seen, *unseen), limits=(0.0, 100.0))]


def _joined(name: str, x: Floats, y: Floats) -> Line:
    """A line through the finite values."""
    keep = np.isfinite(y)
    return Line(name, x[keep], y[keep])


def _points(
    name: str, snapshots: Sequence[SnapshotTaken], field: str, *, of: str = "metrics", role: Role = "first"
) -> list[Line]:
    """A metric at the snapshots where it is known: over all examples, or over `seen` or `unseen` passages; where there
    are snapshots of a sample, theirs in a line of its own."""
    found = []
    for sample in (False, True):
        known = [
            (snapshot.step, value)
            for snapshot in snapshots
            if (snapshot.sampled_of is not None) == sample
            and (metrics := getattr(snapshot, of)) is not None
            and (value := getattr(metrics, field)) is not None
        ]
        pairs = np.array(known, dtype=np.float64).reshape(-1, 2)
        if known or not sample:
            found.append(Line(name, pairs[:, 0], pairs[:, 1], role, points=True, sample=sample))
    return found


def thin(line: Line, x_limits: tuple[float, float], columns: int) -> Line:
    """The line with at most two values for each of `columns` columns: the least and the greatest, in their order,
    so that no spike is lost."""
    if len(line.x) <= 2 * columns:
        return line
    lo, hi = x_limits
    column = np.clip(((line.x - lo) / max(hi - lo, 1e-12) * columns).astype(np.int64), 0, columns - 1)
    edges = np.flatnonzero(np.diff(column, prepend=-1))
    keep: list[int] = []
    for first, last in zip(edges, [*edges[1:], len(line.x)], strict=True):
        part = line.y[first:last]
        keep += sorted({int(first + part.argmin()), int(first + part.argmax())})
    chosen = np.array(keep, dtype=np.int64)
    return replace(line, x=line.x[chosen], y=line.y[chosen])


def nice_ceiling(value: float) -> float:
    """The least of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten that is not below `value` (> 0)."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return next(step * power for step in steps if step * power >= value * (1 - 1e-12))
