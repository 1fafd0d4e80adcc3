"""What the charts share: the signs around them, the gutter with its labels, and cells to segments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from rich.segment import Segment

from tui.drawing.theme import StyleOf

ChartCell = tuple[str, str]
"""A character and the role that it is drawn in; no role: the text's own style."""


@dataclass(frozen=True)
class Glyphs:
    """The signs that mean the same in every chart; each chart adds those of its own, by these."""

    axis: str
    tick: str
    corner: str
    floor: str
    guide: str
    here: str
    pointer: str
    expected: str
    predicted: str
    both: str
    right: str
    wrong: str
    learned: str
    forgotten: str
    before: str
    after: str


UNICODE = Glyphs(
    axis="│", tick="┤", corner="└", floor="─", guide="┊", here="▲", pointer="›",
    expected="▲", predicted="▼", both="◆", right="✓", wrong="✗", learned="↑", forgotten="↓", before="‹", after="›",
)  # fmt: skip
ASCII = Glyphs(
    axis="|", tick="+", corner="+", floor="-", guide=":", here="^", pointer=">",
    expected="^", predicted="v", both="*", right="y", wrong="n", learned="+", forgotten="-", before="<", after=">",
)  # fmt: skip


def glyphs_of(ascii_only: bool) -> Glyphs:
    return ASCII if ascii_only else UNICODE


def gutter(label: str, width: int, style: StyleOf, glyphs: Glyphs) -> list[Segment]:
    """The `width` cells left of a canvas: a label at the right of them, and the axis with a tick where there is one."""
    axis = glyphs.tick if label.strip() else glyphs.axis
    return [Segment(f"{label:>{width - 1}}", style("axis")), Segment(axis, style("axis"))]


def runs(cells: Iterable[ChartCell], style: StyleOf) -> list[Segment]:
    """Cells as segments, neighbours of one role joined."""
    return [Segment("".join(char for char, _ in run), style(role)) for role, run in groupby(cells, key=itemgetter(1))]


def floor(text: str, here: int, style: StyleOf, glyphs: Glyphs) -> list[Segment]:
    """The line under a canvas, with the mark of what is in view at cell `here`; -1: nowhere."""
    if here < 0:
        return [Segment(text, style("axis"))]
    return [
        Segment(text[:here], style("axis")),
        Segment(glyphs.here, style("cursor")),
        Segment(text[here + 1 :], style("axis")),
    ]
