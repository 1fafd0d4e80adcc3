"""A passage as wrapped lines with answers marked in it: by brackets, so that colour is not needed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import get_character_cell_size

from tui.text import plain

NEAR = 3000
"""Characters of a passage kept on either side of what must be seen; a passage may be a book."""

Line = list[tuple[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Mark:
    """An answer from code point `start` up to `end`; `kind` is expected, predicted or both."""

    start: int
    end: int
    kind: str
    role: str


OPEN = {"expected": "▲[", "predicted": "▼(", "both": "◆["}
OPEN_ASCII = {"expected": "^[", "predicted": "v(", "both": "*["}
CLOSE = {"expected": "]", "predicted": ")", "both": "]"}


def passage_lines(
    context: str,
    width: int,
    rows: int,
    marks: Sequence[Mark],
    *,
    cursor: tuple[int, int] | None = None,
    ascii_only: bool = False,
) -> list[Line]:
    """At most `rows` lines of `width` cells: the stretch of the passage that shows the cursor, else the marks.

    Each line is a list of (text, roles). `cursor` is a stretch of code points to be shown in reverse.
    """
    wanted = [mark.start for mark in marks] if cursor is None else [cursor[0]]
    middle = min(wanted) if wanted else 0
    lo, hi = max(0, middle - NEAR), min(len(context), middle + NEAR)
    opening = OPEN_ASCII if ascii_only else OPEN
    inserts: dict[int, list[tuple[str, str]]] = {}
    for mark in marks:
        inserts.setdefault(mark.end, []).insert(0, (CLOSE[mark.kind], mark.role))
    for mark in marks:
        inserts.setdefault(mark.start, []).append((opening[mark.kind], mark.role))

    cells: list[tuple[str, tuple[str, ...], bool]] = []
    for at, char in enumerate(plain(context[lo:hi], hi - lo), lo):
        for text, role in inserts.get(at, ()):
            cells += [(sign, (role, "heading"), False) for sign in text]
        roles = tuple(mark.role for mark in marks if mark.start <= at < mark.end)
        if cursor is not None and cursor[0] <= at < cursor[1]:
            roles += ("cursor",)
        cells.append((char, roles, char == " "))
    cells += [(sign, (role, "heading"), False) for text, role in inserts.get(hi, ()) for sign in text]

    lines = _wrap(cells, max(1, width))
    targets = [number for number, line in enumerate(lines) if any(roles for _, roles, _ in line)]
    if cursor is not None:
        targets = [n for n, line in enumerate(lines) if any("cursor" in roles for _, roles, _ in line)] or targets
    top = 0
    if targets and targets[-1] >= rows - 1:
        spare = max(0, rows - (targets[-1] - targets[0] + 1))
        top = max(0, min(targets[0] - (spare + 1) // 2, len(lines) - rows))
    return [_joined(line) for line in lines[top : top + rows]]


Cell = tuple[str, tuple[str, ...], bool]


def _wrap(cells: Sequence[Cell], width: int) -> list[list[Cell]]:
    """Lines of at most `width` cells, broken at spaces where there is one."""
    lines: list[list[Cell]] = []
    line: list[Cell] = []
    used, last_space = 0, -1
    for cell in cells:
        size = get_character_cell_size(cell[0])
        if used + size > width and line:
            if cell[2]:
                lines.append(line)
                line, used, last_space = [], 0, -1
                continue
            if last_space >= 0:
                lines.append(line[:last_space])
                line = line[last_space + 1 :]
                used = sum(get_character_cell_size(char) for char, _, _ in line)
            else:
                lines.append(line)
                line, used = [], 0
            last_space = -1
        if cell[2]:
            last_space = len(line)
        line.append(cell)
        used += size
    return [*lines, line] if line else lines


def _joined(line: Sequence[Cell]) -> Line:
    pieces: Line = []
    for char, roles, _ in line:
        if pieces and pieces[-1][1] == roles:
            pieces[-1] = (pieces[-1][0] + char, roles)
        else:
            pieces.append((char, roles))
    return pieces
