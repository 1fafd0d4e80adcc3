"""TensorBoard: event files in the run's folder `tensorboard`; `tensorboard --logdir runs` shows all runs."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from engine.rundir.layout import RunDir
from engine.trackers.base import Row, Tracker

MOST_ROWS = 20
"""Rows of a table of predictions: each is kept for every snapshot, and shown as a page of text."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~])")


class TensorBoard:
    """Scalars, and the first predictions as a table in the tab Text."""

    def __init__(self, run: RunDir) -> None:
        _, _, folder = run.tracker_files("tensorboard")
        self._writer = EventFileWriter(str(folder))
        self._time = 0.0

    def scalars(self, values: Mapping[str, float], step: int, time: float) -> None:
        self._time = time
        for name, value in values.items():
            self._writer.add_event(Event(wall_time=time, step=step, summary=scalar_pb(name, value)))

    def table(self, columns: Sequence[str], rows: Sequence[Row], step: int) -> None:
        cells = [[as_markdown(cell) for cell in row] for row in (columns, *rows[:MOST_ROWS])]
        summary = text_pb("predictions", np.array(cells, dtype=object))
        self._writer.add_event(Event(wall_time=self._time, step=step, summary=summary))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def as_markdown(cell: str | float) -> str:
    """Markdown that shows a cell as it is: the tab Text reads it as such."""
    if isinstance(cell, float):
        return f"{cell:.1f}"
    return _MARKDOWN.sub(r"\\\1", html.escape(" ".join(cell.split()), quote=False))


def open_tracker(run: RunDir) -> Tracker:
    """A run in TensorBoard."""
    return TensorBoard(run)
