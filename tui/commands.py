"""The one table of commands: it feeds keys, footer, help and palette, and every row can be bound anew."""

from __future__ import annotations

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
        "All examples at one snapshot: expected and predicted answers as stretches of tokens, apart or overlaid, "
        "and a table of the same examples. Enter opens one in Journey."
    ),
    "curves": "Loss, learning rate and scores over the steps of training; throughput and memory.",
    "compare": "Two snapshots, or two runs on the same data: what changed, example by example.",
    "runs": "All runs of the runs folder: open, stop or resume one, or start one on the sample data.",
    "heatmap": "One example's whole journey in one picture: snapshots downwards, tokens to the right.",
}


@dataclass(frozen=True)
class Command:
    """`keys` as Textual names them, comma-separated; `views` it works in (empty: everywhere); `footer` is its
    short name at the bottom of the screen, empty for those that only help and palette name."""

    id: str
    keys: str
    help: str
    views: tuple[str, ...] = ()
    footer: str = ""


_WALK = ("journey", "spans", "curves", "heatmap")
COMMANDS: tuple[Command, ...] = (
    Command("previous", "left,h", "previous snapshot", _WALK, "←→ snapshot"),
    Command("next", "right,l", "next snapshot", _WALK),
    Command("first", "home,g", "first snapshot: the untrained model", _WALK),
    Command("latest", "end,G", "latest snapshot, and follow new ones", _WALK),
    Command("follow", "f", "follow new snapshots, or stay", _WALK, "f follow"),
    Command("play", "space", "play the journey from the first snapshot, or stop", _WALK, "space play"),
    Command("faster", "plus", "play faster", _WALK),
    Command("slower", "minus", "play slower", _WALK),
    Command("down", "down,j", "next example", ("journey", "heatmap"), "↑↓ example"),
    Command("up", "up,k", "previous example", ("journey", "heatmap")),
    Command("token_right", "right_square_bracket", "next token", ("journey", "heatmap"), "[ ] token"),
    Command("token_left", "left_square_bracket", "previous token", ("journey", "heatmap")),
    Command("tokens_right", "right_curly_bracket", "ten tokens on", ("journey", "heatmap")),
    Command("tokens_left", "left_curly_bracket", "ten tokens back", ("journey", "heatmap")),
    Command("jump", "m", "jump between expected and predicted start and end", ("journey", "heatmap"), "m jump"),
    Command("scale", "y", "logits, logit − minimum, or probabilities", ("journey",), "y scale"),
    Command("fixed", "equals_sign", "same scale in all snapshots, or each its own", ("journey",)),
    Command("zoom", "z", "all tokens in an overview, or a stretch at full width", ("journey",), "z zoom"),
    Command("window", "w", "next window of a long passage", ("journey",), "w window"),
    Command("change", "d", "show the change since the snapshot before", ("journey",), "d change"),
    Command("copy", "c", "copy question, expected and predicted answer to the clipboard", ("journey", "spans")),
    Command("search", "slash", "search or filter", ("journey", "spans"), "/ search"),
    Command("pause", "p", "pause or resume training", ("journey", "spans", "curves", "compare", "heatmap")),
    Command("view_journey", "1", "Journey: one example, every token", (), "1-6 views"),
    Command("view_spans", "2", "Spans: all examples"),
    Command("view_curves", "3", "Curves: scores over time"),
    Command("view_compare", "5", "Compare: two snapshots or two runs"),
    Command("view_runs", "6", "Runs: all runs"),
    Command("view_heatmap", "x", "Heat map: the journey of one example in one picture", (), "x heat map"),
    Command("themes", "T", "next theme: dark, light, colour-blind safe, none"),
    Command("help", "question_mark", "what this screen shows, and its keys", (), "? help"),
    Command("quit", "q", "leave; training goes on", (), "q quit"),
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


def key_names(keys: str) -> str:
    """Keys as a person reads them: `left,h` -> `← h`."""
    return " ".join(_NAMES.get(key, key) for key in keys.split(","))
