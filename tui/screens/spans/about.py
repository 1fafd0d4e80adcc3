"""What the app knows of this screen before it is shown."""

from __future__ import annotations

from tui.commands import COPY, FILTER, PAUSE, REVIEW, ROWS, SEARCH, WALK, KeyCommand
from tui.screens.about import About

ABOUT = About(
    name="spans",
    screen="SpansScreen",
    key="2",
    title="Spans",
    summary="Spans: all examples",
    help=(
        "All examples at one snapshot. Chart: one column pair is one example, its passage's tokens run "
        "upwards; a cell shows whether the expected answer, the predicted one or both stand there (apart: "
        "both in the row, but on no common token). Table: the same examples; s and e: start and end right; "
        "IoU: overlap in characters; conf: √ of the probabilities of the expected start and end; an arrow: "
        "learned or forgotten since the snapshot before; -: not scored at this snapshot, which is of a sample. "
        "Order and filter stay while snapshots change, so that a row stays the same example; o takes them again."
    ),
    commands=(
        *WALK,
        *ROWS,
        KeyCommand(
            "sort", "s", "order: data, true start, IoU, confidence; taken at the snapshot in view", footer="sort"
        ),
        *FILTER,
        KeyCommand("refilter", "o", "take order and filter again at the snapshot in view"),
        KeyCommand("charts", "v", "overlaid chart, all three, predicted or expected alone", footer="charts"),
        KeyCommand("width", "z", "columns for an example: as fits, four, one", footer="width"),
        KeyCommand("max_span", "n", "leave out spans of 100 tokens and more, as the notebook does"),
        KeyCommand("all_examples", "escape", "show all examples again, after a group was chosen in Where it fails"),
        *REVIEW,
        *COPY,
        *SEARCH,
        *PAUSE,
    ),
)
