"""The runs that Curves shows, as its model wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.rundir.comparison import run_labels, setting_labels, used_config
from tui.drawing.text import plain
from tui.model.viewer import Viewer
from tui.screens.curves.model import MARKS, RUN_ROLES, Curves, Floats, Human, StepColumns, curves
from tui.screens.curves.overlay import Look, OverlaidRun, XOf, by_setting, looked_at, overlaid, x_mapping

LABEL_LIMIT = 60


def curves_of(viewer: Viewer, human: Human | None = None) -> Curves:
    """The panels of a run over its steps."""
    total = viewer.started.total_steps if viewer.started else 0
    return curves(step_columns(viewer), viewer.snapshots, total_steps=total, human=human)


def x_of(viewer: Viewer, look: Look) -> XOf:
    """The function from a run's steps to places on the x axis."""
    began = viewer.started.time if viewer.started else 0.0
    return x_mapping(look.axis, _column(viewer, "step"), _column(viewer, "epoch"), _column(viewer, "time") - began)


def step_columns(viewer: Viewer) -> StepColumns:
    """The step events of a run as columns."""
    names = ("step", "loss", "learning_rate", "examples_per_second", "tokens_per_second", "memory")
    return StepColumns(*(_column(viewer, name) for name in names))


def _column(viewer: Viewer, name: str) -> Floats:
    steps = viewer.steps
    return np.fromiter((getattr(step, name) for step in steps), dtype=np.float64, count=len(steps))


def overlay_of(
    viewers: Mapping[Path, Viewer], slots: Mapping[Path, int], look: Look
) -> tuple[Curves, list[tuple[str, str, str]]]:
    """The curves of several runs in the same panels, and for the legend mark, role and label of each line."""
    configs = [used_config(viewer.config, viewer.started) for viewer in viewers.values()]
    labels = run_labels(configs, [viewer.run.name for viewer in viewers.values()])
    runs = [
        OverlaidRun(
            plain(label, LABEL_LIMIT), slots[path], setting, looked_at(curves_of(viewer), look, x_of(viewer, look))
        )
        for (path, viewer), label, setting in zip(viewers.items(), labels, setting_labels(configs), strict=True)
    ]
    legend: list[tuple[str, str, str]] = []
    for members in by_setting(runs, look.band):
        first = members[0]
        seeds = f"{len(members)} seeds"
        label = f"{plain(first.setting, LABEL_LIMIT)} ({seeds})" if first.setting else seeds
        if len(members) == 1:
            label = first.label
        legend.append((MARKS[first.slot], RUN_ROLES[first.slot], label))
    return overlaid(runs, look), legend
