"""Trackio, on this machine: `trackio show` shows the project `bertqa-tui`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import trackio

from engine.rundir.layout import RunDir
from engine.trackers.base import Row, Tracker


class Trackio:
    """Scalars, and the predictions as a table."""

    def __init__(self, run: RunDir) -> None:
        trackio.init(project="bertqa-tui", name=run.name, config=msgspec.to_builtins(run.config), resume="allow")

    def scalars(self, values: Mapping[str, float], step: int, time: float) -> None:
        trackio.log(dict(values), step=step)

    def table(self, columns: Sequence[str], rows: Sequence[Row], step: int) -> None:
        table = trackio.Table(columns=list(columns), data=[list(row) for row in rows])
        trackio.log({"predictions": table}, step=step)

    def flush(self) -> None:
        pass  # sent as it comes

    def close(self) -> None:
        trackio.finish()


def open_tracker(run: RunDir) -> Tracker:
    """A run in Trackio."""
    return Trackio(run)
