"""A passage as wrapped lines with answers marked in it: by brackets, so that colour is not needed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.strip import Strip

from tui.drawing.frame import UNICODE, Glyphs
from tui.drawing.text import plain
from tui.drawing.theme import StyleOf, combined

SIGNS = 6
"""Cells of a line kept free for brackets, so that lines break where they always did while answers move about."""
NEAR = 3000
"""Characters of a passage kept at least on either side of what must be seen; a passage may be a book."""

Line = list[tuple[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Mark:
    """An answer from code point `start` up to `end`; `kind` is expected, predicted or both."""

    start: int
    end: int
    kind: str
    role: str


class Cell(NamedTuple):
    """A character with its roles; `at` is its code point (-1: a bracket), `size` what it counts when lines break."""

    char: str
    roles: tuple[str, ...]
    at: int
    size: int


CLOSE = {"expected": "]", "predicted": ")", "both": "]"}


def passage_lines(
    context: str,
    width: int,
    rows: int,
    marks: Sequence[Mark],
    *,
    cursor: tuple[int, int] | None = None,
    first: int | None = None,
    glyphs: Glyphs = UNICODE,
) -> tuple[list[Line], int]:
    """At most `rows` lines of `width` cells: the stretch of the passage that shows the cursor, else the marks, or
    where not all of them can be seen at once, what was expected. Returned with the code point at which it begins.

    Where lines break does not depend on the marks, unless lines are narrow; a stretch that begins at `first` stays
    where it shows what must be seen: a flip moves answers, not the text. Each line is a list of (text, roles).
    `cursor` is a stretch of code points to be shown in reverse.
    """
    opening = {"expected": f"{glyphs.expected}[", "predicted": f"{glyphs.predicted}(", "both": f"{glyphs.both}["}
    cells = _cells(context, width, marks, cursor, opening)
    lines = _wrap(cells, max(1, width - SIGNS if _is_wide(width) else width))
    wanted = _lines_with(lines, {mark.role for mark in marks})
    if wanted and wanted[-1] - wanted[0] >= rows:  # not all can be seen at once: then what is the same at every flip
        wanted = _lines_with(lines, {mark.role for mark in marks if mark.kind != "predicted"}) or wanted
    if cursor is not None:
        wanted = _lines_with(lines, {"cursor"}) or wanted
    begins = [next((cell.at for cell in line if cell.at >= 0), -1) for line in lines]
    top = _top(wanted, len(lines), rows, begins.index(first) if first in begins else 0)
    return [_joined(line) for line in lines[top : top + rows]], begins[top] if lines else 0


def answer_marks(expected: tuple[int, int] | None, predicted: tuple[int, int] | None) -> list[Mark]:
    """The marks of an expected and a predicted answer, given in code points of the passage; None for no answer."""
    if expected is not None and expected == predicted:
        return [Mark(*expected, "both", "both")]
    marks = [] if expected is None else [Mark(*expected, "expected", "expected")]
    return marks if predicted is None else [*marks, Mark(*predicted, "predicted", "predicted")]


def line_strips(lines: Sequence[Line], style: StyleOf) -> list[Strip]:
    """Lines of a passage as a screen shows them, a blank before each."""
    return [Strip([Segment(" "), *(Segment(text, combined(style, roles)) for text, roles in line)]) for line in lines]


def _lines_with(lines: Sequence[Sequence[Cell]], roles: Set[str]) -> list[int]:
    return [
        number
        for number, line in enumerate(lines)
        if any(cell.roles and not roles.isdisjoint(cell.roles) for cell in line)
    ]


def _top(wanted: Sequence[int], count: int, rows: int, top: int) -> int:
    """The first of `rows` lines to show out of `count`, so that the wanted ones are among them: `top` if it can be."""
    if top <= max(0, count - rows) and (not wanted or top <= wanted[0] <= wanted[-1] < top + rows):
        return top
    if not wanted or wanted[-1] < rows:
        return 0
    spare = max(0, rows - (wanted[-1] - wanted[0] + 1))
    return max(0, min(wanted[0] - (spare + 1) // 2, count - rows))


def _is_wide(width: int) -> bool:
    return width >= 8 * SIGNS


def _cells(
    context: str, width: int, marks: Sequence[Mark], cursor: tuple[int, int] | None, opening: Mapping[str, str]
) -> list[Cell]:
    """The passage around what must be seen, with brackets."""
    ordered = sorted(marks, key=lambda mark: mark.kind == "predicted")
    seen = cursor[0] if cursor is not None else ordered[0].start if ordered else 0
    lo = max(0, (seen // NEAR - 1) * NEAR)
    hi = min(len(context), lo + 3 * NEAR)
    inserts: dict[int, list[tuple[str, str]]] = {}
    for mark in marks:
        inserts.setdefault(mark.end, []).insert(0, (CLOSE[mark.kind], mark.role))
    for mark in marks:
        inserts.setdefault(mark.start, []).append((opening[mark.kind], mark.role))
    size = 0 if _is_wide(width) else 1

    def brackets(at: int) -> list[Cell]:
        return [Cell(sign, (role, "heading"), -1, size) for text, role in inserts.get(at, ()) for sign in text]

    cells = list(_bare_cells(context, lo, hi))
    stretches = [(mark.start, mark.end, mark.role) for mark in marks]
    if cursor is not None:
        stretches.append((*cursor, "cursor"))
    for start, end, role in stretches:
        for place in range(max(start, lo) - lo, min(end, hi) - lo):
            cells[place] = cells[place]._replace(roles=(*cells[place].roles, role))
    for at in sorted((at for at in inserts if lo <= at <= hi), reverse=True):
        cells[at - lo : at - lo] = brackets(at)
    return cells


@lru_cache(maxsize=8)
def _bare_cells(context: str, lo: int, hi: int) -> tuple[Cell, ...]:
    """A stretch of the passage without marks; kept, since a cursor that moves asks for the same again and again."""
    return tuple(
        Cell(char, (), at, get_character_cell_size(char)) for at, char in enumerate(plain(context[lo:hi], hi - lo), lo)
    )


def _wrap(cells: Sequence[Cell], width: int) -> list[list[Cell]]:
    """Lines of at most `width` cells, broken at spaces where there is one."""
    lines: list[list[Cell]] = []
    line: list[Cell] = []
    used, last_space = 0, -1
    for cell in cells:
        if used + cell.size > width and line:
            if cell.char == " ":
                lines.append(line)
                line, used, last_space = [], 0, -1
                continue
            if last_space >= 0:
                lines.append(line[:last_space])
                line = line[last_space + 1 :]
                used = sum(other.size for other in line)
            if line and used + cell.size > width:  # no space in it, or a wide character that finds no room even so
                lines.append(line)
                line, used = [], 0
            last_space = -1
        if cell.char == " ":
            last_space = len(line)
        line.append(cell)
        used += cell.size
    return [*lines, line] if line else lines


def _joined(line: Sequence[Cell]) -> Line:
    pieces: Line = []
    for cell in line:
        if pieces and pieces[-1][1] == cell.roles:
            pieces[-1] = (pieces[-1][0] + cell.char, cell.roles)
        else:
            pieces.append((cell.char, cell.roles))
    return pieces
