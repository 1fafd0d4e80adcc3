"""Texts in CSV that no spreadsheet takes for a formula."""

from __future__ import annotations

import re

FORMULA = "(^|[;\t\r\n])([ \u00a0]*[=+\\-@\t\r＝＋－＠])"
"""Where a spreadsheet would begin a formula: at a cell's start, and after what some take for the end of a cell."""
INERT = r"\1'\2"
"""What stands there instead: an apostrophe first. RE2 and Python read both alike."""


def inert(text: str) -> str:
    """`text` with an apostrophe before whatever a spreadsheet would take for a formula."""
    return re.sub(FORMULA, INERT, text)
