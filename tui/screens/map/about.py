"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import COPY, PAUSE, REVIEW, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="map",
    screen="MapScreen",
    key="4",
    title="Map",
    summary="Map: which examples are easy, hard or wrongly labelled",
    help=(
        "The data map: each example by how probable its label was on average over the epochs (confidence, upwards) and "
        "how much that went up and down (variability, to the right); the sign says in how many epochs the answer was "
        "right. Low on the left: hard to learn, or labelled wrongly. The list beside it: labels that may stand in the "
        "wrong place, labels with a wrong boundary, or all examples in an order of your choice. Keys for verdicts act "
        "on the example under the cursor; the lists learn from them."
    ),
    commands=(
        KeyCommand("map_up", "up,k", "up in the map, or the row above", footer="walk", pair="map_down"),
        KeyCommand("map_down", "down,j", "down in the map, or the row below"),
        KeyCommand("map_left", "left,h", "to the left in the map; previous snapshot where the list is walked"),
        KeyCommand("map_right", "right,l", "to the right in the map; next snapshot where the list is walked"),
        KeyCommand("side", "a", "arrows walk the list, or the map", footer="map or list"),
        KeyCommand("lists", "v", "list wrong places, wrong boundaries, or all examples", footer="lists"),
        KeyCommand("open", "enter", "open the example in Journey", footer="open"),
        *REVIEW,
        KeyCommand(
            "sort",
            "s",
            "order of all examples: confidence, variability, right, forgotten, first learned, data",
            footer="sort",
        ),
        KeyCommand("half", "o", "training examples (of a run with --track-train or --folds), or evaluation examples"),
        KeyCommand("token_left", "left_square_bracket", "previous word, while a span of a training example is chosen"),
        KeyCommand("token_right", "right_square_bracket", "next word"),
        KeyCommand("tokens_left", "left_curly_bracket", "ten words back"),
        KeyCommand("tokens_right", "right_curly_bracket", "ten words on"),
        KeyCommand("no_token", "escape", "give up choosing a span"),
        KeyCommand("same_place", "n", "next example at the same place of the map"),
        KeyCommand("page_down", "pagedown", "a page of rows on"),
        KeyCommand("page_up", "pageup", "a page of rows back"),
        *COPY,
        *PAUSE,
    ),
)
