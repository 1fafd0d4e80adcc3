"""Commands: what a key does. One table feeds keys, footer, help and palette, and every command can be rebound.

A screen's own commands stand in its `about.py`; here are those that several screens share.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyCommand:
    """`keys` as Textual names them, comma-separated; `footer` is the short name at the bottom of the screen, empty for
    those that only help and palette name; `pair` names the command whose key stands there with it.

    A command that `acts` changes a run, the disk or starts a process: it does not exist where one may only look.

    The command `x` calls the method `do_x` of the screen in front, where it has one, else the app's.
    """

    id: str
    keys: str
    help: str
    footer: str = ""
    pair: str = ""
    acts: bool = False


SNAPSHOTS = (
    KeyCommand("previous", "left,h", "previous snapshot", footer="snapshot", pair="next"),
    KeyCommand("next", "right,l", "next snapshot"),
    KeyCommand("first", "home,g", "first snapshot: the untrained model"),
    KeyCommand("latest", "end,G", "latest snapshot, and follow new ones"),
    KeyCommand("follow", "f", "follow new snapshots, or stay", footer="follow"),
    KeyCommand("play", "space", "play the journey from the first snapshot, or stop", footer="play"),
)
PACE = (
    KeyCommand("faster", "plus", "play faster"),
    KeyCommand("slower", "minus", "play slower"),
)
WALK = (*SNAPSHOTS, *PACE)
EXAMPLES = (
    KeyCommand("up", "up,k", "previous example", footer="example", pair="down"),
    KeyCommand("down", "down,j", "next example"),
    KeyCommand("ten_up", "pageup", "ten examples back"),
    KeyCommand("ten_down", "pagedown", "ten examples on"),
)
TOKENS = (
    KeyCommand("token_left", "left_square_bracket", "previous token", footer="token", pair="token_right"),
    KeyCommand("token_right", "right_square_bracket", "next token"),
    KeyCommand("tokens_left", "left_curly_bracket", "ten tokens back"),
    KeyCommand("tokens_right", "right_curly_bracket", "ten tokens on"),
    KeyCommand("no_token", "escape", "put the token cursor away"),
    KeyCommand("jump", "m", "jump between expected and predicted start and end", footer="jump"),
)
ROWS = (
    KeyCommand("row_up", "up,k", "previous row", footer="row", pair="row_down"),
    KeyCommand("row_down", "down,j", "next row"),
    KeyCommand("page_down", "pagedown", "a page of rows on"),
    KeyCommand("page_up", "pageup", "a page of rows back"),
    KeyCommand("open", "enter", "open the row under the cursor", footer="open"),
)
WINDOW = (KeyCommand("window", "w", "next window of a long passage", footer="window"),)
FILTER = (
    KeyCommand(
        "filter",
        "t",
        "what is listed: wrong, right, learned, forgotten, impossible, all; what changed, in Compare",
        footer="show",
    ),
)
REVIEW = (
    KeyCommand("keep_label", "K", "the label is right: keep it", footer="keep label", acts=True),
    KeyCommand(
        "take_answer", "M", "the label is wrong: the model's answer is right", footer="take the model's", acts=True
    ),
    KeyCommand(
        "choose_span", "S", "the label is wrong: S at the first token of the right answer, S at its last", acts=True
    ),
    KeyCommand("no_answer", "N", "the label is wrong: the passage has no answer", acts=True),
    KeyCommand("drop_question", "D", "leave the question out of the corrected data", acts=True),
    KeyCommand("undo", "u", "take back the last verdict", footer="undo", acts=True),
)
"""Verdicts on the label of the example under the cursor."""
WHY = (
    KeyCommand(
        "why", "i", "why this answer: the words that made it, and what each layer thought", footer="why", acts=True
    ),
)
COPY = (KeyCommand("copy", "c", "copy question, expected and predicted answer to the clipboard"),)
SEARCH = (KeyCommand("search", "slash", "search or filter", footer="search"),)
PAUSE = (KeyCommand("pause", "p", "pause or resume training", acts=True),)
EVERYWHERE = (
    KeyCommand("picture", "P", "write this screen as a picture (SVG) into the working folder", acts=True),
    KeyCommand("themes", "T", "next theme: dark, light, colour-blind safe, none"),
    KeyCommand("help", "question_mark", "what this screen shows, and its keys", footer="help"),
    KeyCommand("quit", "q", "leave; training goes on", footer="quit"),
)

_NAMES = {
    "left": "←", "right": "→", "up": "↑", "down": "↓", "slash": "/", "question_mark": "?", "equals_sign": "=",
    "plus": "+", "minus": "-", "left_square_bracket": "[", "right_square_bracket": "]",
    "left_curly_bracket": "{", "right_curly_bracket": "}", "full_stop": ".", "comma": ",",
    "less_than_sign": "<", "greater_than_sign": ">",
}  # fmt: skip
_ASCII_NAMES = {"left": "<-", "right": "->", "up": "up", "down": "dn"}


def key_names(keys: str, *, ascii_only: bool = False) -> str:
    """Keys as a person reads them: `left,h` -> `← h`."""
    names = _NAMES | _ASCII_NAMES if ascii_only else _NAMES
    return " ".join(names.get(key.strip(), key.strip()) for key in keys.split(","))
