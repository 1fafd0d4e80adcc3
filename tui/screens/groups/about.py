"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import PAUSE, ROWS, WALK, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="groups",
    screen="GroupsScreen",
    key="8",
    title="Where it fails",
    short="Fails",
    summary="Where it fails: what was learned and forgotten, by kind of question",
    help=(
        "Examples in groups: by question word, length of the answer (of the first expected one) and of the passage, "
        "passages seen in training or not, questions with and without an answer. For the snapshot in view: how many "
        "are right, and how many turned right (learned) and wrong (forgotten) since the snapshot before. Enter shows a "
        "group in Spans, where t lists those that are wrong, learned or forgotten."
    ),
    commands=(
        *WALK,
        *ROWS,
        KeyCommand("sort", "s", "order: by kind, or the worst first", footer="sort"),
        *PAUSE,
    ),
)
