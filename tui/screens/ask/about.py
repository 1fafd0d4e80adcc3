"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import COPY, EXAMPLES, PAUSE, TOKENS, WALK, WHY, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="ask",
    screen="AskScreen",
    key="9",
    title="Ask",
    summary="Ask: any question on any text",
    help=(
        "Ask the model a question of your own, on the passage of the example in view or on text that you paste. The "
        "answer comes from the weights of the best epoch, of any other that is kept, or of all of them. It works "
        "in a process of its own, which ends when you leave this screen. Probabilities are calibrated: see Trust."
    ),
    acts=True,
    commands=(
        KeyCommand("type_question", "enter,slash", "type a question; enter asks it, escape leaves it", footer="ask"),
        KeyCommand("type_passage", "e", "type or paste a passage; escape takes it", footer="paste"),
        KeyCommand("own_passage", "o", "back to question and passage of the example in view", footer="example's"),
        KeyCommand(
            "weights_previous",
            "less_than_sign",
            "weights of the kept epoch before",
            footer="weights",
            pair="weights_next",
        ),
        KeyCommand("weights_next", "greater_than_sign", "weights of the next kept epoch"),
        KeyCommand("weights_best", "b", "weights of the best epoch", footer="best"),
        KeyCommand("weights_in_view", "v", "weights of the snapshot in view"),
        KeyCommand("all_weights", "a", "the answers of all kept epochs, or of one", footer="all"),
        *EXAMPLES,
        *TOKENS,
        KeyCommand("scale", "y", "logit − minimum, logits, or probabilities", footer="scale"),
        *WHY,
        *COPY,
        *WALK,
        *PAUSE,
    ),
)
