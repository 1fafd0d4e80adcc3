"""The only way that text from outside becomes visible.

A terminal obeys what it is sent: escape sequences set titles, write to the clipboard, move the cursor; bidi
controls reorder what is read. Textual lets them pass, and reads markup in plain strings. Everything that comes
from data, models, file names or logs goes through here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.content import Content

LIMIT = 20_000
REPLACEMENT = "\ufffd"


def _table() -> dict[int, str]:
    table = {code: chr(0x2400 + code) for code in range(0x20)}  # control pictures: ␛ for escape
    table |= dict.fromkeys(
        [
            0x7F,  # delete
            *range(0x80, 0xA0),  # C1 controls: a second set of escape sequences
            0xAD,  # soft hyphen
            0x61C,
            *range(0x200B, 0x200C),  # zero width space
            0x200E,
            0x200F,
            *range(0x2028, 0x202F),  # line and paragraph separator, bidi embeddings and overrides
            *range(0x2060, 0x2070),  # invisible operators, bidi isolates
            0xFEFF,
            *range(0xFFF0, 0xFFFC),
            *range(0xD800, 0xE000),  # lone surrogates can't be encoded
            *range(0xE0000, 0xE0080),  # tags
        ],
        REPLACEMENT,
    )
    del table[0x09], table[0x0A]
    return table


_VISIBLE = _table()
_ONE_LINE = _VISIBLE | {0x09: " ", 0x0A: " "}


def plain(text: str, limit: int = LIMIT) -> str:
    """`text` made harmless, on one line, for a terminal that is written to directly."""
    return _cut(text, limit).translate(_ONE_LINE)


def visible(text: str) -> str:
    """`text` made harmless, one character for each; line ends and tabs stay. For text that the user edits."""
    return text.translate(_VISIBLE)


def show(text: str, limit: int = LIMIT) -> Content:
    """`text` made harmless, at most `limit` characters, as content that no widget reads markup in."""
    from textual.content import Content

    return Content(_cut(text, limit).translate(_VISIBLE))


def show_line(text: str, limit: int = LIMIT) -> Content:
    """Like `show`, on one line."""
    from textual.content import Content

    return Content(plain(text, limit))


def path_from_here(path: Path) -> str:
    """`path` as one types it: relative where it lies in the working folder. It must still be made harmless."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"
