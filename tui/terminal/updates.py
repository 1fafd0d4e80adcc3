"""What goes over the link, made small: of a row that changed, only the cells that changed.

Textual writes such a row from its widget's left edge on; over SSH that is most of what an epoch flip costs.
"""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.control import Control
from textual._compositor import ChopsUpdate
from textual.app import App
from textual.screen import Screen


class ExactUpdate(ChopsUpdate):
    """Writes each span of the screen from its first to its last cell, and nothing beside it."""

    @classmethod
    def of(cls, update: ChopsUpdate) -> ExactUpdate:
        return cls(update.chops, update.spans, update.chop_ends)

    def render_segments(self, console: Console) -> str:
        """The terminal's sequences for the update."""
        pieces: list[str] = []
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                low, high = max(x, first), min(end, last)
                if strip is not None and low < high:
                    pieces.append(Control.move_to(low, y).segment.text)
                    pieces.append(strip.crop(low - x, high - x).render(console))
        return "".join(pieces)


class ExactApp(App[int]):
    """An app whose updates go out exactly. All of Textual's insides that the project leans on are in this module."""

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if isinstance(renderable, ChopsUpdate):
            renderable = ExactUpdate.of(renderable)
        super()._display(screen, renderable)
