"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import ROWS, SEARCH, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="runs",
    screen="RunsScreen",
    key="6",
    title="Runs",
    summary="Runs: all runs",
    help=(
        "All runs of the runs folder: open, stop, resume or remove one, name it, note what it was for, or start one on "
        "the sample data. A search (/) lists the runs that have its words in their name, note, data, model or #tags; "
        "an empty one lists all."
    ),
    commands=(
        *ROWS,
        KeyCommand("stop_run", "S", "save and stop the run under the cursor (press twice)", footer="stop", acts=True),
        KeyCommand(
            "resume_run",
            "R",
            "resume the run under the cursor (a stopped or dead one: press twice)",
            footer="resume",
            acts=True,
        ),
        KeyCommand("edit_run", "e", "name, note and tags of the run under the cursor", footer="note", acts=True),
        KeyCommand(
            "remove_run", "X", "remove the run under the cursor from the disk (press twice)", footer="remove", acts=True
        ),
        KeyCommand("run_log", "L", "the log of the run under the cursor: warnings, tracebacks; search", footer="log"),
        KeyCommand("mark_run", "space", "mark the run under the cursor for Curves, or not", footer="mark"),
        KeyCommand("sort", "s", "sort by date, score, state, size or name", footer="sort"),
        KeyCommand(
            "filter", "t", "which runs are listed: all, training, those that can be resumed, finished", footer="show"
        ),
        *SEARCH,
    ),
)
