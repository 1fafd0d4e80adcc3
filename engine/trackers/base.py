"""What a tracker takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

Row = Sequence[str | float]


class Tracker(Protocol):
    """One run in one tracker. Every method may raise anything and take any time: nobody else waits for it."""

    def scalars(self, values: Mapping[str, float], step: int, time: float) -> None:
        """Values of curves by name at a step; `time` is Unix seconds."""

    def table(self, columns: Sequence[str], rows: Sequence[Row], step: int) -> None:
        """Predictions at a step; nothing where the tracker has no tables."""

    def flush(self) -> None:
        """Make what was given visible."""

    def close(self) -> None:
        """The run has ended."""
