"""The one table of commands: it feeds keys, footer, help and palette, and every row can be bound anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VIEWS = ("journey", "spans", "curves", "compare", "runs", "heatmap")
VIEW_TITLES = {
    "journey": "Journey",
    "spans": "Spans",
    "curves": "Curves",
    "compare": "Compare",
    "runs": "Runs",
    "heatmap": "Heat map",
}
VIEW_HELP = {
    "journey": (
        "One example at one snapshot. Upper chart: the score of each token as the start of the answer; lower chart: "
        "as its end. One bar is one token. The marker column stands on the expected token; where it is also the "
        "highest bar, the model is right. Below: the passage with the expected and the predicted answer, and the "
        "model's best answers."
    ),
    "spans": (
        "All examples at one snapshot. Chart: one column pair is one example, its passage's tokens run upwards; a cell "
        "tells whether the expected answer, the predicted one or both stand there (apart: both in the row, but on no "
        "common token). Table: the same examples; s and e: start and end right; IoU: overlap in characters; conf: √ of "
        "the probabilities of the expected start and end; an arrow: learned or forgotten since the snapshot before. "
        "Order and filter stay while snapshots change, so that a row goes on being the same example; o takes them anew."
    ),
    "curves": (
        "Loss, scores, learning rate, throughput and memory over the steps of training. The dotted guide stands at the "
        "snapshot in view, and the titles tell the values there; people: how well they agree with each other."
    ),
    "compare": (
        "Two snapshots, or two runs on the same data. ← and → move the active side, a makes the other one active. "
        "Below: the examples that changed, the greatest change of F1 (gain) first; surer: by how much the expected "
        "answer became more probable."
    ),
    "runs": "All runs of the runs folder: open, stop or resume one, or start one on the sample data.",
    "heatmap": (
        "One example's whole journey in one picture: snapshots downwards, tokens to the right, dark is likely. "
        "The marks at the rows' ends tell whether the predicted token is the expected one."
    ),
}


@dataclass(frozen=True)
class Command:
    """`keys` as Textual names them, comma-separated; `views` it works in (empty: everywhere); `footer` is its
    short name at the bottom of the screen, empty for those that only help and palette name; `pair` names the
    command that stands there with it."""

    id: str
    keys: str
    help: str
    views: tuple[str, ...] = ()
    footer: str = ""
    pair: str = ""


_WALK = ("journey", "spans", "curves", "heatmap")
_LISTS = ("spans", "compare", "runs")
COMMANDS: tuple[Command, ...] = (
    Command("previous", "left,h", "previous snapshot", _WALK, "snapshot", "next"),
    Command("next", "right,l", "next snapshot", _WALK),
    Command("first", "home,g", "first snapshot: the untrained model", _WALK),
    Command("latest", "end,G", "latest snapshot, and follow new ones", _WALK),
    Command("follow", "f", "follow new snapshots, or stay", _WALK, "follow"),
    Command("play", "space", "play the journey from the first snapshot, or stop", _WALK, "play"),
    Command("faster", "plus", "play faster", _WALK),
    Command("slower", "minus", "play slower", _WALK),
    Command("up", "up,k", "previous example", ("journey", "heatmap"), "example", "down"),
    Command("down", "down,j", "next example", ("journey", "heatmap")),
    Command("ten_up", "pageup", "ten examples back", ("journey", "heatmap")),
    Command("ten_down", "pagedown", "ten examples on", ("journey", "heatmap")),
    Command("token_left", "left_square_bracket", "previous token", ("journey", "heatmap"), "token", "token_right"),
    Command("token_right", "right_square_bracket", "next token", ("journey", "heatmap")),
    Command("tokens_left", "left_curly_bracket", "ten tokens back", ("journey", "heatmap")),
    Command("tokens_right", "right_curly_bracket", "ten tokens on", ("journey", "heatmap")),
    Command("no_token", "escape", "put the token cursor away", ("journey", "heatmap")),
    Command("jump", "m", "jump between expected and predicted start and end", ("journey", "heatmap"), "jump"),
    Command("scale", "y", "logit − minimum, logits, or probabilities", ("journey",), "scale"),
    Command("fixed", "equals_sign", "same scale in all snapshots, or each its own", ("journey",)),
    Command("zoom", "z", "all tokens in an overview, or a stretch at full width", ("journey",), "zoom"),
    Command("window", "w", "next window of a long passage", ("journey", "heatmap"), "window"),
    Command("change", "d", "show the change since the snapshot before", ("journey",), "change"),
    Command("row_up", "up,k", "previous row", _LISTS, "row", "row_down"),
    Command("row_down", "down,j", "next row", _LISTS),
    Command("page_down", "pagedown", "a page of rows on", _LISTS),
    Command("page_up", "pageup", "a page of rows back", _LISTS),
    Command("open", "enter", "open the row under the cursor", _LISTS, "open"),
    Command("sort", "s", "order: data, true start, IoU, confidence; taken at the snapshot in view", ("spans",), "sort"),
    Command(
        "filter",
        "t",
        "what is listed: wrong, right, learned, forgotten, impossible, all; what changed, in Compare",
        ("spans", "compare"),
        "show",
    ),
    Command("anew", "o", "take order and filter anew at the snapshot in view", ("spans",)),
    Command("charts", "v", "overlaid chart, all three, predicted or expected alone", ("spans",), "charts"),
    Command("width", "z", "columns for an example: as fits, four, one", ("spans",), "width"),
    Command("max_span", "n", "leave out spans of 100 tokens and more, as the notebook does", ("spans",)),
    Command("panel_previous", "up,k", "previous chart", ("curves",), "chart", "panel_next"),
    Command("panel_next", "down,j", "next chart", ("curves",)),
    Command("panel_zoom", "z", "the chosen chart alone, or all", ("curves",), "zoom"),
    Command("side_previous", "left,h", "previous snapshot on the active side", ("compare",), "snapshot", "side_next"),
    Command("side_next", "right,l", "next snapshot on the active side", ("compare",)),
    Command("side_first", "home,g", "first snapshot on the active side", ("compare",)),
    Command("side_latest", "end,G", "latest snapshot on the active side", ("compare",)),
    Command("side", "a", "make the other side the active one", ("compare",), "side"),
    Command("swap", "s", "left goes right and right goes left", ("compare",), "swap"),
    Command("other_run", "o", "choose another run on the same data for the active side", ("compare",), "other run"),
    Command("stop_run", "S", "save and stop the run under the cursor (press twice)", ("runs",), "stop"),
    Command(
        "resume_run",
        "R",
        "go on with the run under the cursor (a stopped or dead one: press twice)",
        ("runs",),
        "resume",
    ),
    Command("copy", "c", "copy question, expected and predicted answer to the clipboard", ("journey", "spans")),
    Command("search", "slash", "search or filter", ("journey", "spans"), "search"),
    Command("pause", "p", "pause or resume training", ("journey", "spans", "curves", "compare", "heatmap")),
    Command("view_journey", "1", "Journey: one example, every token", (), "views", "view_runs"),
    Command("view_spans", "2", "Spans: all examples"),
    Command("view_curves", "3", "Curves: scores over time"),
    Command("view_compare", "5", "Compare: two snapshots or two runs"),
    Command("view_runs", "6", "Runs: all runs"),
    Command("view_heatmap", "x", "Heat map: the journey of one example in one picture", (), "heat map"),
    Command("themes", "T", "next theme: dark, light, colour-blind safe, none"),
    Command("help", "question_mark", "what this screen shows, and its keys", (), "help"),
    Command("quit", "q", "leave; training goes on", (), "quit"),
)
BY_ID = {command.id: command for command in COMMANDS}


def commands_of(view: str) -> list[Command]:
    """The commands that work in a view."""
    return [command for command in COMMANDS if not command.views or view in command.views]


_NAMES = {
    "left": "←", "right": "→", "up": "↑", "down": "↓", "slash": "/", "question_mark": "?", "equals_sign": "=",
    "plus": "+", "minus": "-", "left_square_bracket": "[", "right_square_bracket": "]",
    "left_curly_bracket": "{", "right_curly_bracket": "}", "full_stop": ".", "comma": ",",
}  # fmt: skip
_ASCII_NAMES = {"left": "<-", "right": "->", "up": "up", "down": "dn"}


def key_names(keys: str, *, ascii_only: bool = False) -> str:
    """Keys as a person reads them: `left,h` -> `← h`."""
    names = _NAMES | _ASCII_NAMES if ascii_only else _NAMES
    return " ".join(names.get(key.strip(), key.strip()) for key in keys.split(","))


def footer_items(view: str, bound: Mapping[str, str], *, ascii_only: bool = False) -> list[tuple[str, str]]:
    """Keys and words for the bottom of the screen, most important first; `bound` holds keys that the user chose."""

    def key(command: Command) -> str:
        return key_names(bound.get(command.id, command.keys).split(",")[0], ascii_only=ascii_only)

    items = []
    for command in commands_of(view):
        if command.footer:
            keys = key(command)
            if command.pair:
                keys += ("-" if command.footer == "views" else " " if ascii_only else "") + key(BY_ID[command.pair])
            items.append((keys, command.footer))
    return items
