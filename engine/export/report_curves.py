"""The curves of a run for a report: lines over steps, thinned, in the panels that the table of metrics names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.events import Metrics, Step, metric_table
from engine.rundir.snapshot import SnapshotInfo

MOST_POINTS = 600
"""Points of a line at most: of a longer one the lowest and the highest of each stretch."""
STEP_PANELS = (
    ("Learning rate", "learning_rate", ""),
    ("Gradient norm", "grad_norm", "before clipping"),
    ("Throughput", "tokens_per_second", "tokens a second"),
)


def panels(steps: Sequence[Step], snapshots: Sequence[SnapshotInfo]) -> list[dict[str, Any]]:
    """Panels with their lines: {name, unit, top (of the axis, or None), lines: [{name, points, x, y, sampled}]}.

    The loss comes first; then the metrics of the snapshots; F1 on passages seen in training beside others where both
    are there; then what the steps say of the training itself.
    """
    loss = {"name": "Loss", "unit": "", "top": None, "lines": [_joined("training", steps, "loss")]}
    found: dict[str, dict[str, Any]] = {"Loss": loss}
    for name, metric in metric_table().items():
        line = _points("evaluation" if metric.panel == "Loss" else metric.short, snapshots, name)
        if line["x"] or "sampled" in line:
            unit = {1.0: "share of examples", 100.0: "0 to 100"}.get(metric.top or 0.0, "")
            panel: dict[str, Any] = {"name": metric.panel, "unit": unit, "top": metric.top, "lines": []}
            found.setdefault(metric.panel, panel)["lines"].append(line)
    apart = [_points("seen in training", snapshots, "f1", "seen"), _points("never seen", snapshots, "f1", "unseen")]
    if all(line["x"] for line in apart):
        found["apart"] = {"name": "F1 by passage", "unit": "0 to 100", "top": 100.0, "lines": apart}
    for title, name, unit in STEP_PANELS:
        found[name] = {"name": title, "unit": unit, "top": None, "lines": [_joined(title.lower(), steps, name)]}
    return [panel for panel in found.values() if any(line["x"] or "sampled" in line for line in panel["lines"])]


def _joined(name: str, steps: Sequence[Step], of: str) -> dict[str, Any]:
    """A line through the finite values of the steps."""
    known = [(step.step, value) for step in steps if math.isfinite(value := getattr(step, of))]
    thin = _thinned(known)
    return {"name": name, "points": False, "x": [x for x, _ in thin], "y": [_short(y) for _, y in thin]}


def _points(name: str, snapshots: Sequence[SnapshotInfo], of: str, group: str = "metrics") -> dict[str, Any]:
    """A metric at the snapshots where it is known: over all examples, or over `seen` or `unseen` passages. Those of a
    sample are no part of the line: they stand in `sampled`."""
    known: dict[bool, list[tuple[int, float]]] = {False: [], True: []}
    for info in snapshots:
        metrics: Metrics | None = getattr(info, group)
        value = None if metrics is None else getattr(metrics, of)
        if value is not None and math.isfinite(value):
            known[info.sampled_of is not None].append((info.step, value))
    whole, sampled = (
        {"x": [x for x, _ in points], "y": [_short(y) for _, y in points]} for points in (known[False], known[True])
    )
    return {"name": name, "points": True, **whole} | ({"sampled": sampled} if known[True] else {})


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most MOST_POINTS of the points, no spike lost."""
    if len(points) <= MOST_POINTS:
        return list(points)
    stretches = MOST_POINTS // 2
    kept = []
    for number in range(stretches):
        part = points[number * len(points) // stretches : (number + 1) * len(points) // stretches]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return kept


def _short(value: float) -> float:
    return float(f"{value:.5g}")
