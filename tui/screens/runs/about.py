"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import ROWS, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="runs",
    screen="RunsScreen",
    key="6",
    title="Runs",
    summary="Runs: all runs",
    help=("All runs of the runs folder: open, stop or resume one, or start one on the sample data."),
    commands=(
        *ROWS,
        KeyCommand("stop_run", "S", "save and stop the run under the cursor (press twice)", footer="stop"),
        KeyCommand(
            "resume_run",
            "R",
            "resume the run under the cursor (a stopped or dead one: press twice)",
            footer="resume",
        ),
    ),
)
