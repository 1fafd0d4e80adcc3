"""Which runs are listed, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.rundir.liveness import State
from tui.model.run_rows import RESUMABLE, RUNNING, RunRow
from tui.view_state import SHOWN, SORTS, RunsView, Shown

STATES: dict[Shown, frozenset[State]] = {
    "all": frozenset(State),
    "training": RUNNING,
    "resumable": RESUMABLE,
    "finished": frozenset({State.FINISHED}),
}
ORDER = tuple(State)
Sizes = Callable[[str], int | None]


@dataclass(frozen=True)
class Arrangement(RunsView):
    """`text` must be in a run's name, note, data, model, or tags (`#tag`, each word for itself); "" lists all."""

    text: str = ""

    def next_sort(self) -> Arrangement:
        return replace(self, sort=SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)])

    def next_shown(self) -> Arrangement:
        return replace(self, shown=SHOWN[(SHOWN.index(self.shown) + 1) % len(SHOWN)])

    @property
    def narrows(self) -> bool:
        return self.shown != "all" or bool(self.text.strip())


def arranged(rows: Sequence[RunRow], by: Arrangement, sizes: Sizes) -> list[RunRow]:
    """The runs that are listed, in order: newest, best and largest first; equals as in `rows`."""
    found = [row for row in rows if row.state in STATES[by.shown] and _has(row, by.text)]
    match by.sort:
        case "score":
            found.sort(key=lambda row: -1.0 if row.best is None else row.best, reverse=True)
        case "state":
            found.sort(key=lambda row: ORDER.index(row.state))
        case "size":
            found.sort(key=lambda row: sizes(row.path) or 0, reverse=True)
        case "name":
            found.sort(key=lambda row: (row.title or row.name).casefold())
    return found


def _has(row: RunRow, text: str) -> bool:
    words = (row.name, row.title, row.note, row.dataset, row.model, row.state, *(f"#{tag}" for tag in row.tags))
    said = "\n".join(words).casefold()
    return all(word in said for word in text.casefold().split())


def words_of(by: Arrangement) -> str:
    """What is listed and in which order, where it is not all and by date. Holds what the user typed: plain() it."""
    parts = []
    if by.sort != "date":
        parts.append(f"by {by.sort}")
    if by.shown != "all":
        parts.append(f"{by.shown} alone")
    if by.text.strip():
        parts.append(f"with “{by.text.strip()}”")
    return ", ".join(parts)
