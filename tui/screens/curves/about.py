"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import PAUSE, WALK, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="curves",
    screen="CurvesScreen",
    key="3",
    title="Curves",
    summary="Curves: scores over time",
    help=(
        "Loss, scores, learning rate, throughput and memory over the steps of training. The dotted guide "
        "stands at the snapshot in view, and the titles show the values there; people: how well they agree "
        "with each other."
    ),
    commands=(
        *WALK,
        KeyCommand("panel_previous", "up,k", "previous chart", footer="chart", pair="panel_next"),
        KeyCommand("panel_next", "down,j", "next chart"),
        KeyCommand("panel_zoom", "z", "the chosen chart alone, or all", footer="zoom"),
        *PAUSE,
    ),
)
