"""Columns of a table that draws its own rows: who gets how much room, and text cut to whole cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size

GAP = 1


@dataclass(frozen=True)
class Column:
    """A column `width` cells wide, plus its `share` of what is left over. It is left out of tables narrower than
    `from_width`."""

    name: str
    title: str
    width: int
    share: int = 0
    align: Literal["left", "right"] = "left"
    from_width: int = 0


def fit_columns(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """The columns that a table of `width` cells shows, each with its width; gaps of one cell lie between them.

    Where even the fixed widths do not fit, columns are left out from the right.
    """
    shown = [column for column in columns if column.from_width <= width]
    while shown and _taken(shown) > width:
        shown.pop()
    spare = width - _taken(shown)
    shares = sum(column.share for column in shown)
    fitted, given, so_far = [], 0, 0
    for column in shown:
        so_far += column.share
        upto = spare * so_far // shares if shares else 0
        fitted.append((column, column.width + upto - given))
        given = upto
    return fitted


def _taken(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * max(0, len(columns) - 1)


def fit_text(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """`text` (one line, already safe to show) in exactly `width` cells; "…" ends what is cut."""
    cells = cell_len(text)
    if cells <= width:
        padding = " " * (width - cells)
        return padding + text if align == "right" else text + padding
    return set_cell_size(text, width) if width <= 1 else set_cell_size(text, width - 1) + "…"
