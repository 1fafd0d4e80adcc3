"""What goes over the link, made small: of a row that changed, only the cells that changed.

Textual writes such a row from its widget's left edge on; over SSH that is most of what an epoch flip costs.

All private parts of Textual that the project uses are in this module: `textual._compositor.ChopsUpdate`,
`App._display`, `App._driver`, and the queue of `WriterThread`. Without them the app works on, with Textual's own
updates.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from queue import Queue
from typing import Any, ClassVar

from rich.console import Console, RenderableType
from rich.control import Control
from textual.app import App
from textual.screen import Screen
from textual.strip import Strip


def render_exactly(
    console: Console,
    chops: Sequence[Mapping[int, Strip | None]],
    spans: Sequence[tuple[int, int, int]],
    chop_ends: Sequence[Sequence[int]],
) -> str:
    """The terminal's sequences for `spans` of the screen (row, first cell, one past the last), and for nothing beside
    them. `chops` holds for each row its strips by their first cell, `chop_ends` one past the last cell of each."""
    pieces: list[str] = []
    for y, first, last in spans:
        for end, (x, strip) in zip(chop_ends[y], chops[y].items(), strict=False):
            low, high = max(x, first), min(end, last)
            if strip is not None and low < high:
                pieces.append(Control.move_to(low, y).segment.text)
                pieces.append(strip.crop(low - x, high - x).render(console))
    return "".join(pieces)


def exact_update() -> type[Any] | None:
    """Textual's update of parts of the screen, but written exactly; None where Textual has none that we know."""
    try:
        update: type[Any] = importlib.import_module("textual._compositor").ChopsUpdate
    except (ImportError, AttributeError):
        return None
    if "render_segments" not in vars(update):
        return None

    def render_segments(self: Any, console: Console) -> str:
        return render_exactly(console, self.chops, self.spans, self.chop_ends)

    return type("ExactUpdate", (update,), {"render_segments": render_segments})


PARTS = ("chops", "spans", "chop_ends")
"""What Textual's update of parts of the screen is made of."""


class ExactApp(App[int]):
    """An app whose updates go out exactly, and that knows when it draws faster than the link takes."""

    EXACT_UPDATE: ClassVar[type[Any] | None] = exact_update()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        exact = self.EXACT_UPDATE
        if exact is not None and type(renderable) is exact.__base__ and all(hasattr(renderable, p) for p in PARTS):
            renderable = exact(*(getattr(renderable, part) for part in PARTS))
        super()._display(screen, renderable)

    def send_to_terminal(self, sequences: str) -> None:
        """Send what is no picture: a bell, a notice. Nothing where there is no terminal."""
        if self._driver is not None:
            self._driver.write(sequences)
            self._driver.flush()

    @property
    def is_behind(self) -> bool:
        """Whether frames wait to be written: the link is slower than we draw. False where that can't be known."""
        queue = write_queue(self._driver)
        return queue is not None and queue.qsize() > 0


def write_queue(driver: object) -> Queue[Any] | None:
    """The queue of frames that wait for the terminal; None where the driver writes at once, or is not as we know it."""
    queue = getattr(getattr(driver, "_writer_thread", None), "_queue", None)
    return queue if isinstance(queue, Queue) else None
