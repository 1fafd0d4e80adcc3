"""A part of a screen that the screen draws itself, and that can be clicked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.message import Message
from textual.strip import Strip

from tui.widgets.strip_view import StripView


class Picture(StripView):
    """Shows the lines that `draw(width, height)` makes."""

    DEFAULT_CSS = "Picture { height: 1fr; }"

    class Pressed(Message):
        """A click on cell (`x`, `y`) of the picture."""

        def __init__(self, picture: Picture, x: int, y: int) -> None:
            super().__init__()
            self.picture, self.x, self.y = picture, x, y

        @property
        def control(self) -> Picture:
            return self.picture

    def __init__(self, draw: Callable[[int, int], Sequence[Strip]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._draw_lines = draw

    def build(self, width: int, height: int) -> Sequence[Strip]:
        return self._draw_lines(width, height)

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Pressed(self, event.x, event.y))
