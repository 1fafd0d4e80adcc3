"""The curves of a run as numbers: which panels there are, their lines, limits and levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from engine.events import Metrics, SnapshotTaken

if TYPE_CHECKING:
    from tui.drawing.canvas import CanvasCell

    Canvas = tuple[list[str], list[list[CanvasCell]]]
Floats = NDArray[np.float64]
Role = Literal["first", "second", "third", "level"]


@dataclass(frozen=True)
class Line:
    """One line of a panel. `points` marks its values one by one (snapshots); else they are joined (steps)."""

    name: str
    x: Floats
    y: Floats
    role: Role = "first"
    points: bool = False

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
    """One chart: lines over steps. `limits` fixes the y axis; without it the lines and levels do."""

    name: str
    unit: str
    lines: tuple[Line, ...]
    levels: tuple[Level, ...] = ()
    limits: tuple[float, float] | None = None
    style: Literal["plain", "percent", "rate", "bytes", "count"] = "plain"

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
    """All panels, and the range of steps they share."""

    panels: tuple[Panel, ...]
    last_step: float
    total_steps: float
    canvases: dict[tuple[str, int, int, str], Canvas] = field(default_factory=dict, compare=False)
    """What was drawn of these curves, kept by whoever draws: another snapshot moves only the guide."""

    @property
    def x_limits(self) -> tuple[float, float]:
        return 0.0, max(1.0, self.total_steps, self.last_step)


def curves(
    steps: StepColumns, snapshots: Sequence[SnapshotTaken], *, total_steps: int = 0, human: Human | None = None
) -> Curves:
    """The panels of a run: loss, accuracies, EM and F1, seen against unseen passages where both are there,
    learning rate, throughput, memory."""
    at = np.array([snapshot.step for snapshot in snapshots], dtype=np.float64)

    def scores(name: str, of: str = "metrics") -> Line:
        told = [(step, getattr(snapshot, of)) for step, snapshot in zip(at, snapshots, strict=True)]
        pairs = [
            (step, float(value))
            for step, metrics in told
            if isinstance(metrics, Metrics) and (value := getattr(metrics, name)) is not None
        ]
        label = {"metrics": name.replace("_", " "), "seen": "seen in training", "unseen": "never seen"}[of]
        return Line(
            label,
            np.array([p[0] for p in pairs], dtype=np.float64),
            np.array([p[1] for p in pairs], dtype=np.float64),
            points=True,
        )

    levels = (Level("people EM", human.exact_match), Level("people F1", human.f1)) if human else ()
    panels = [
        Panel(
            "Loss",
            "",
            (_named(_line(steps.step, steps.loss), "training", "first"), _named(scores("loss"), "eval", "second")),
        ),
        Panel(
            "Accuracy",
            "share of examples",
            (_named(scores("start_accuracy"), "start", "first"), _named(scores("end_accuracy"), "end", "second")),
            limits=(0.0, 1.0),
            style="percent",
        ),
        Panel(
            "EM and F1",
            "0 to 100",
            (_named(scores("exact_match"), "EM", "first"), _named(scores("f1"), "F1", "second")),
            levels,
            limits=(0.0, 100.0),
        ),
        Panel("Learning rate", "", (_named(_line(steps.step, steps.learning_rate), "rate", "first"),), style="rate"),
        Panel(
            "Throughput",
            "tokens a second",
            (_named(_line(steps.step, steps.tokens_per_second), "tokens/s", "first"),),
            style="count",
        ),
        Panel("Memory", "", (_named(_line(steps.step, steps.memory), "in use", "first"),), style="bytes"),
    ]
    seen, unseen = scores("f1", "seen"), scores("f1", "unseen")
    if len(seen.y) and len(unseen.y):
        panel = Panel(
            "F1 by passage",
            "0 to 100",
            (_named(seen, seen.name, "first"), _named(unseen, unseen.name, "second")),
            limits=(0.0, 100.0),
        )
        panels.insert(3, panel)
    last = max([float(steps.step[-1])] if len(steps.step) else [0.0], default=0.0)
    last = max(last, float(at.max()) if len(at) else 0.0)
    return Curves(tuple(panels), last, float(total_steps))


def _line(x: Floats, y: Floats) -> Line:
    keep = np.isfinite(y)
    return Line("", x[keep], y[keep])


def _named(line: Line, name: str, role: Role) -> Line:
    return Line(name, line.x, line.y, role, line.points)


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
    return Line(line.name, line.x[chosen], line.y[chosen], line.role, line.points)


def nice_ceiling(value: float) -> float:
    """The least of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten that is not below `value` (> 0)."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return next(step * power for step in steps if step * power >= value * (1 - 1e-12))
