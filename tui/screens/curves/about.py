"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import PAUSE, SNAPSHOTS, KeyCommand
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
        "with each other; ~: values of snapshots at which only a sample is scored, joined with nothing. Runs marked "
        "by space in Runs, or named to `bertqa-tui compare`, are overlaid with the one that is open, each with its own "
        "mark; runs that differ in their seed alone can be one line with its spread. Smoothing is TensorBoard's; the "
        "points of snapshots stay as they are. The logarithm is for panels without a fixed scale."
    ),
    commands=(
        *SNAPSHOTS,
        KeyCommand("panel_previous", "up,k", "previous chart", footer="chart", pair="panel_next"),
        KeyCommand("panel_next", "down,j", "next chart"),
        KeyCommand("panel_zoom", "z", "the chosen chart alone, or all", footer="zoom"),
        KeyCommand("cursor_left", "left_square_bracket", "cursor to the left", footer="cursor", pair="cursor_right"),
        KeyCommand("cursor_right", "right_square_bracket", "cursor to the right"),
        KeyCommand("cursor_far_left", "left_curly_bracket", "cursor ten columns to the left"),
        KeyCommand("cursor_far_right", "right_curly_bracket", "cursor ten columns to the right"),
        KeyCommand("no_token", "escape", "put the cursor away"),
        KeyCommand(
            "x_zoom_in",
            "plus,equals_sign",
            "half of the x axis, around the cursor or the snapshot in view; the cursor scrolls it",
            footer="x range",
            pair="x_zoom_out",
        ),
        KeyCommand("x_zoom_out", "minus", "twice as much of the x axis"),
        KeyCommand("x_whole", "0", "the whole x axis"),
        KeyCommand("smoothing", "s", "smoothing: none, 0.6, 0.9, 0.98", footer="smooth"),
        KeyCommand("log_y", "y", "logarithmic y axis, or linear", footer="log y"),
        KeyCommand("x_axis", "a", "x axis: steps, epochs or time", footer="x axis"),
        KeyCommand("overlay", "o", "the marked runs too, or the open one alone", footer="overlay"),
        KeyCommand(
            "band", "b", "each run, or mean and spread of runs that differ in their seed alone", footer="spread"
        ),
        *PAUSE,
    ),
)
