"""What kind of character a code point is: white space, invisible, or of a script without spaces between words."""

from __future__ import annotations

import re

import numpy as np

INVISIBLE = r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
"""Control and format characters that show nothing (byte order mark, direction marks, joiners, soft hyphen), as a class
of a regular expression. White space is none of them."""
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
"""Chinese, Japanese, Thai, Lao, Khmer and Burmese, as a class of a regular expression."""

_UNSPACED_LETTER = re.compile(f"[{UNSPACED}]")
_EDGES = re.compile(f"^[\\s{INVISIBLE}]+|[\\s{INVISIBLE}]+$")

SPACE, UNSEEN = 1, 2
KINDS = np.zeros(0x10000, dtype=np.uint8)
"""uint8 by code point: SPACE, UNSEEN (INVISIBLE) or 0; all above U+FFFF are 0, as U+FFFF is."""
for _found in re.finditer(f"\\s|[{INVISIBLE}]", "".join(map(chr, range(0x3002)))):
    KINDS[_found.start()] = SPACE if _found[0].isspace() else UNSEEN
KINDS[0xFEFF] = UNSEEN


def without_edges(text: str) -> str:
    """The text without white space and invisible characters at its edges."""
    if text.isprintable():  # no invisible character and no white space but the plain one
        return text.strip(" ")
    return _EDGES.sub("", text)


def is_unspaced(char: str) -> bool:
    """Whether the character belongs to a script that is written without spaces between words."""
    return _UNSPACED_LETTER.match(char) is not None


def count_unspaced(text: str) -> int:
    """How many characters belong to scripts that are written without spaces between words."""
    return 0 if text.isascii() else len(_UNSPACED_LETTER.findall(text))
