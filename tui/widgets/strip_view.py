"""A widget that shows lines made elsewhere and sends only the parts of them that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

_PLAIN = Style.null()


class StripView(Widget):
    """Shows what `build` makes. `redraw` builds anew and refreshes the stretch of each row that differs, nothing else.

    Textual does not compare frames: a plain refresh sends the whole widget again, which a slow link shows. Its way
    from a widget to the screen would also paint a background behind every segment; lines go out as they are.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Strip] = []
        self._built_for = (0, 0)

    def build(self, width: int, height: int) -> Sequence[Strip]:
        """The lines to show, at most `height` of `width` cells."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw what changed."""
        width, height = self.size
        if not width or not height or not self.is_on_screen:
            self._built_for = (0, 0)  # built when it is seen
            return
        fresh = self._built_for == (width, height)
        lines = self._build(width, height)
        for y in range(height):
            lo, hi = changed_stretch(self._lines[y], lines[y]) if fresh else (0, width)
            if lo < hi:
                self.refresh(Region(lo, y, hi - lo, 1))
        self._lines = lines

    def _build(self, width: int, height: int) -> list[Strip]:
        self._built_for = (width, height)
        lines = [line.adjust_cell_length(width) for line in list(self.build(width, height))[:height]]
        return lines + [Strip.blank(width)] * (height - len(lines))

    @property
    def is_on_screen(self) -> bool:
        return self.is_mounted and self.display

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines inside `crop`, for the compositor."""
        if self._built_for != tuple(self.size):
            self._lines = self._build(*self.size)
        blank = Strip.blank(self.size.width)
        lines = [self._lines[y] if y < len(self._lines) else blank for y in range(crop.y, crop.bottom)]
        if crop.column_span == (0, self.size.width):
            return lines
        return [line.crop(crop.x, crop.right) for line in lines]


def changed_stretch(before: Strip, after: Strip) -> tuple[int, int]:
    """First cell that differs between two lines of equal width, and one past the last; (0, 0) where none does."""
    if before == after:
        return 0, 0
    width = after.cell_length
    if before.cell_length != width:
        return 0, max(before.cell_length, width)
    old, new = _runs(before), _runs(after)
    if old == new:
        return 0, 0
    return _common(old, new), width - _common(old[::-1], new[::-1], from_end=True)


def _runs(strip: Strip) -> list[Segment]:
    """The line in as few segments as its styles need, so that equal lines compare equal."""
    runs: list[Segment] = []
    for text, style, _ in strip:
        if runs and (runs[-1].style or _PLAIN) == (style or _PLAIN):
            runs[-1] = Segment(runs[-1].text + text, runs[-1].style)
        elif text:
            runs.append(Segment(text, style or _PLAIN))
    return runs


def _common(old: Sequence[Segment], new: Sequence[Segment], *, from_end: bool = False) -> int:
    """Cells that two lines have in common at their beginning (or end); wide characters are kept whole."""
    cells = 0
    for one, other in zip(old, new, strict=False):
        if one == other:
            cells += one.cell_length
            continue
        if one.style == other.style and one.text.isascii() and other.text.isascii():
            pair = (one.text[::-1], other.text[::-1]) if from_end else (one.text, other.text)
            for a, b in zip(*pair, strict=False):
                if a != b:
                    break
                cells += 1
        break
    return cells
