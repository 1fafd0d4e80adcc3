"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import COPY, EXAMPLES, PAUSE, REVIEW, SEARCH, TOKENS, WALK, WHY, WINDOW, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="journey",
    screen="JourneyScreen",
    key="1",
    title="Journey",
    summary="Journey: one example, every token",
    help=(
        "One example at one snapshot. Upper chart: the score of each token as the start of the answer; lower "
        "chart: as its end. One bar is one token. The marker column stands on the expected token; where it is "
        "also the highest bar, the model is right. Below: the passage with the expected and the predicted "
        "answer, and the model's best answers. A ~ before the name of a snapshot: of a large set only a sample is "
        "scored there."
    ),
    commands=(
        *WALK,
        *EXAMPLES,
        *TOKENS,
        KeyCommand("scale", "y", "logit − minimum, logits, or probabilities", footer="scale"),
        KeyCommand("fixed", "equals_sign", "same scale in all snapshots, or each its own"),
        KeyCommand("zoom", "z", "all tokens in an overview, or a stretch at full width", footer="zoom"),
        *WINDOW,
        KeyCommand("change", "d", "show the change since the snapshot before", footer="change"),
        *REVIEW,
        *WHY,
        *COPY,
        *SEARCH,
        *PAUSE,
    ),
)
