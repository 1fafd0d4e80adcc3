"""TensorBoard: event files in the run's folder `tensorboard`; `tensorboard --logdir runs` shows all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tensorboard.summary import Writer

from engine.rundir.layout import RunDir
from engine.trackers.base import Row, Tracker


class TensorBoard:
    """Scalars; TensorBoard has no tables."""

    def __init__(self, run: RunDir) -> None:
        self._writer = Writer(str(run.path / "tensorboard"))

    def scalars(self, values: Mapping[str, float], step: int, time: float) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, wall_time=time)

    def table(self, columns: Sequence[str], rows: Sequence[Row], step: int) -> None:
        pass

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def open_tracker(run: RunDir) -> Tracker:
    """A run in TensorBoard."""
    return TensorBoard(run)
