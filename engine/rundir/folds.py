"""The folds of a run: models that never saw the labels they score. Each is a run of its own in the folder `folds`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError, UsageError
from engine.events import Finished
from engine.rundir.layout import RunDir, is_run_dir
from engine.rundir.liveness import ending_of
from engine.rundir.log import read_events
from engine.storage.tensors import Tensors, write_tensors

FOLD_OF = "fold_of"


def fold_runs(run: RunDir, count: int) -> list[RunDir]:
    """The runs of `count` folds of `run`, whether they were begun or not."""
    return [RunDir(run.folds / str(number)) for number in range(1, count + 1)]


def begun_folds(run: RunDir) -> list[RunDir]:
    """The runs of the folds of `run` that have a folder; [] for a run without folds."""
    try:
        numbers = sorted(int(path.name) for path in run.folds.iterdir() if path.name.isdecimal() and is_run_dir(path))
    except OSError:
        return []
    return [RunDir(run.folds / str(number)) for number in numbers]


def run_of_fold(path: Path) -> Path | None:
    """The run whose fold has the folder `path`; None for any other folder."""
    path = path.absolute()
    return path.parent.parent if path.parent.name == "folds" and is_run_dir(path.parent.parent) else None


def refuse_fold(path: Path) -> None:
    """Raise UsageError for the folder of a fold, which goes with its run."""
    if (whole := run_of_fold(path)) is not None:
        raise UsageError(f"{path}: a fold of the run {whole.name}, not a run of its own.", hint=f"Name {whole}.")


def is_finished(run: RunDir) -> bool:
    """Whether the log says that the run has done all that it was asked for."""
    return isinstance(ending_of(read_events(run.events_file)), Finished)


def write_fold_of(run: RunDir, fold_of: NDArray[np.int32]) -> None:
    """Write which fold each training example is held out in: `fold_of` int32[N], counted from 0. Raises WriteError."""
    write_tensors(_assignment(run), {FOLD_OF: fold_of}, {})


def read_fold_of(run: RunDir) -> NDArray[np.int32] | None:
    """What `write_fold_of` wrote; None where there is nothing that can be read."""
    try:
        with Tensors(_assignment(run)) as stored:
            found: NDArray[np.int32] = stored.read(FOLD_OF)
            return found
    except (OSError, DataError, KeyError):
        return None


def _assignment(run: RunDir) -> Path:
    return run.folds / "folds.safetensors"
