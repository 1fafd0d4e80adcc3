"""Weights & Biases, offline: files in the run's folder `wandb`; `wandb sync` sends them where the user wants that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import wandb

from engine.rundir.layout import RunDir
from engine.trackers.base import Row, Tracker


class WandB:
    """Scalars, and the predictions as a table."""

    def __init__(self, run: RunDir) -> None:
        self._run = wandb.init(
            project="bertqa-tui",
            name=run.name,
            dir=str(run.path),
            config=msgspec.to_builtins(run.config),
            mode="offline",
            id=known_id(run),
            resume="allow",
        )

    def scalars(self, values: Mapping[str, float], step: int, time: float) -> None:
        self._run.log(dict(values), step=step)

    def table(self, columns: Sequence[str], rows: Sequence[Row], step: int) -> None:
        self._run.log({"predictions": wandb.Table(columns=list(columns), data=[list(row) for row in rows])}, step=step)

    def flush(self) -> None:
        pass  # written as it comes

    def close(self) -> None:
        self._run.finish()


def known_id(run: RunDir) -> str | None:
    """The id under which the run was reported first, which `offline-run-TIME-ID` ends with; None where it was not. What
    is reported under one id, in several folders, is one run: `wandb sync` joins them."""
    folders = sorted((run.path / "wandb").glob("offline-run-*-*"))
    return folders[0].name.split("-", 3)[3] if folders else None


def open_tracker(run: RunDir) -> Tracker:
    """A run in Weights & Biases."""
    return WandB(run)
