"""A message on a few lines, so that its reason and what to do stay readable however long the path before them is."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from tui.drawing.text import plain

LONGEST_WORD = 2 / 3
"""Of a line: a longer word, such as a path, loses its middle."""
HEAD = 1 / 3
"""Of what is left when a middle is cut; the end says more: a file's name, a reason, what to do."""


def message_lines(text: str, width: int, most: int) -> list[str]:
    """`text` from anywhere, made harmless, on at most `most` lines of `width` cells."""
    whole = plain(text)
    lines, room = _wrapped(whole, width), width * most
    while len(lines) > most and room > 3:
        whole = cut_middle(" ".join(lines), room)
        lines, room = _wrapped(whole, width), room - 1 - room // 20
    return lines[:most]


def cut_middle(text: str, width: int) -> str:
    """`text` in at most `width` cells; "…" stands for what is cut."""
    if cell_len(text) <= width:
        return text
    head = set_cell_size(text, max(1, int((width - 1) * HEAD)))
    tail = text[-width:]
    while cell_len(head) + 1 + cell_len(tail) > width:
        tail = tail[1:]
    return f"{head.rstrip()}…{tail}"


def _wrapped(text: str, width: int) -> list[str]:
    longest = max(3, int(width * LONGEST_WORD))
    lines: list[str] = []
    for word in (cut_middle(word, longest) for word in text.split()):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
