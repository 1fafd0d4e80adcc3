"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import EXAMPLES, PAUSE, TOKENS, WALK, WINDOW
from tui.screens.about import About

ABOUT = About(
    name="heatmap",
    screen="HeatmapScreen",
    key="x",
    title="Heat map",
    short="Heat",
    summary="Heat map: the journey of one example in one picture",
    help=(
        "One example's whole journey in one picture: snapshots downwards, tokens to the right, dark is "
        "likely. The marks at the rows' ends show whether the predicted token is the expected one."
    ),
    commands=(
        *WALK,
        *EXAMPLES,
        *TOKENS,
        *WINDOW,
        *PAUSE,
    ),
)
