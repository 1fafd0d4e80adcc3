"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import PAUSE, WALK, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="trust",
    screen="TrustScreen",
    key="7",
    title="Trust",
    summary="Trust: how far probabilities can be trusted",
    help=(
        "Left, the reliability diagram: answers by confidence, a bar for the share of right ones, a line at their "
        "mean confidence. Where all lines lie on the tops of the bars, the model is as often right as it says. One "
        "temperature, fitted on half of the eval set, brings them together; all that is shown is of the other half. "
        "Right: what happens to F1 if only answers above a confidence are given."
    ),
    commands=(
        *WALK,
        KeyCommand("confidence_up", "right_square_bracket", "answer from a higher confidence on", footer="", pair=""),
        KeyCommand(
            "confidence_down",
            "left_square_bracket",
            "answer from a lower confidence on",
            footer="confidence",
            pair="confidence_up",
        ),
        KeyCommand("confidence_far_up", "right_curly_bracket", "a confidence higher by 0.1"),
        KeyCommand("confidence_far_down", "left_curly_bracket", "a confidence lower by 0.1"),
        KeyCommand("before", "b", "before or after the temperature", footer="before/after"),
        *PAUSE,
    ),
)
