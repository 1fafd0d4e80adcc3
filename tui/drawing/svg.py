"""A screen as a picture (SVG) that any browser and editor opens, without network."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import WriteError
from engine.storage.atomic_io import create_file

MOST_NUMBERS = 10_000
"""How many pictures of one name a folder may hold."""
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FONT_FROM_NETWORK = re.compile(r',\s*url\("https?:[^"]*"\)\s*format\("[^"]*"\)')
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def svg_of(drawn: str) -> bytes:
    """Textual's picture of a screen as a file's content: XML that parses, with fonts of the reader's machine alone."""
    style, end, rest = _NOT_XML.sub("\ufffd", drawn).partition("</style>")
    return (_FONT_FROM_NETWORK.sub("", style) + end + rest).encode()


def picture_name(*parts: str) -> str:
    """A file's name of words from anywhere: letters, digits, points and dashes alone, not hidden, not long."""
    words = (_NOT_IN_NAMES.sub("-", part[:200]).strip(".-")[:60] for part in parts)
    return "-".join(word for word in words if word) or "screen"


def save_picture(folder: Path, name: str, drawn: str) -> Path:
    """Write a picture as `<name>.svg`, or with the first free number; nothing is overwritten. Raises WriteError."""
    for number in range(1, MOST_NUMBERS):
        path = folder / (f"{name}.svg" if number == 1 else f"{name}-{number}.svg")
        if not path.exists() and not path.is_symlink():
            create_file(path, svg_of(drawn))
            return path
    raise WriteError(f"{folder / name}.svg: there are too many pictures of this name.", hint="Remove some.")
