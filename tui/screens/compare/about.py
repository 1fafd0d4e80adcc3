"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import FILTER, PAUSE, ROWS, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="compare",
    screen="CompareScreen",
    key="5",
    title="Compare",
    summary="Compare: two snapshots or two runs",
    help=(
        "Two snapshots, or two runs on the same data. ← and → move the active side, a makes the other one "
        "active. Below: the examples that changed, the greatest change of F1 (gain) first; surer: by how much "
        "the expected answer became more probable."
    ),
    commands=(
        *ROWS,
        *FILTER,
        KeyCommand(
            "side_previous", "left,h", "previous snapshot on the active side", footer="snapshot", pair="side_next"
        ),
        KeyCommand("side_next", "right,l", "next snapshot on the active side"),
        KeyCommand("side_first", "home,g", "first snapshot on the active side"),
        KeyCommand("side_latest", "end,G", "latest snapshot on the active side"),
        KeyCommand("side", "a", "make the other side the active one", footer="side"),
        KeyCommand("swap", "s", "left goes right and right goes left", footer="swap"),
        KeyCommand("other_run", "o", "choose another run on the same data for the active side", footer="other run"),
        *PAUSE,
    ),
)
