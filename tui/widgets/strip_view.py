"""A widget that shows lines made elsewhere and sends only those that changed."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class StripView(Widget):
    """Shows what `build` makes. `redraw` builds anew and refreshes the rows that differ, nothing else.

    Textual does not compare frames: a plain refresh sends the whole widget again, which a slow link shows.
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
        lines = self._build(width, height)
        for y in range(height):
            if self._lines[y : y + 1] != lines[y : y + 1]:
                self.refresh(Region(0, y, width, 1))
        self._lines = lines

    def _build(self, width: int, height: int) -> list[Strip]:
        self._built_for = (width, height)
        lines = [line.adjust_cell_length(width) for line in list(self.build(width, height))[:height]]
        return lines + [Strip.blank(width)] * (height - len(lines))

    @property
    def is_on_screen(self) -> bool:
        return self.is_mounted and self.display

    def render_line(self, y: int) -> Strip:
        if self._built_for != tuple(self.size):
            self._lines = self._build(*self.size)
        return self._lines[y] if y < len(self._lines) else Strip.blank(self.size.width)
