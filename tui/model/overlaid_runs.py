"""Runs that are looked at together with the one that is watched: each followed as that one is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import UserError
from tui.model.viewer import News, Viewer


class OverlaidRuns:
    """Follows runs by their folders, each with a colour and a mark (`slots`, by number) that it keeps as long as it is
    among them."""

    def __init__(self, most: int) -> None:
        """At most `most` runs at a time."""
        self._most = most
        self.viewers: dict[Path, Viewer] = {}
        self.slots: dict[Path, int] = {}

    def choose(self, paths: Sequence[Path], watched: Viewer | None) -> None:
        """Follow `paths` from now on; `watched` is followed by the app. A folder that is no run is left out."""
        own = watched.run.path if watched is not None else None
        wanted = list(dict.fromkeys([*([own] if own else []), *paths]))[: self._most]
        for gone in set(self.slots) - set(wanted):
            del self.slots[gone]
        for gone in set(self.viewers) - (set(wanted) - {own}):
            self.viewers.pop(gone).close()
        for path in wanted:
            if path != own and path not in self.viewers:
                with suppress(UserError):
                    self.viewers[path] = Viewer(path)
            if path == own or path in self.viewers:
                self.slots.setdefault(path, min(set(range(self._most)) - set(self.slots.values())))

    def poll(self) -> list[tuple[Viewer, News]]:
        """What is new in each. Reads files: not for the event loop."""
        return [(viewer, viewer.poll()) for viewer in list(self.viewers.values())]

    def apply(self, found: Sequence[tuple[Viewer, News]]) -> tuple[bool, bool]:
        """Make what `poll` found visible; returns whether anything changed, and whether there may be more to read."""
        current = set(map(id, self.viewers.values()))
        kept = [(viewer, news) for viewer, news in found if id(viewer) in current]
        changed = [viewer.apply(news) for viewer, news in kept]
        return any(changed), any(news.look.events for _, news in kept)
