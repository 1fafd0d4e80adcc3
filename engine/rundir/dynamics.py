"""Training dynamics of a run, from its snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Example, read_examples
from engine.errors import DataError
from engine.insight.dynamics import NEEDED, Dynamics, IntArray, counts, dynamics, number_passages
from engine.insight.margins import MARGINS, GoldSpans, gold_spans, margin_columns
from engine.insight.spans import WindowTable
from engine.rundir.eval_set import EvalSet
from engine.rundir.folds import fold_runs, read_fold_of
from engine.rundir.layout import RunDir, is_run_dir
from engine.rundir.snapshot import COLUMNS, Snapshot

Half = Literal["eval", "train"]


def read_dynamics(run: RunDir, half: Half = "eval", examples: Sequence[Example] | None = None) -> Dynamics | None:
    """Dynamics of the run's eval examples, or of its training examples; None where no epoch was scored.

    Training examples are scored with the options `track_train` and `folds`; they are in the order of the training half
    of examples.json. Snapshots of older versions hold no margins: they are computed from the scores of all tokens,
    which takes up to half a second for 10,000 examples and snapshot. A snapshot that is damaged is left out. `examples`
    are those of the half, where they have been read already.

    Once all folds of a run are done, those of its training examples hold what the folds' models found (`held_out`).
    """
    folder = run.snapshots if half == "eval" else run.train_snapshots
    paths = [path for path in snapshot_files(folder) if _epoch(path, half)]
    if not paths:
        return None
    # Each column is read to its place in one array for all snapshots: nothing is held twice.
    stacked: dict[str, NDArray[Any]] = {}
    numbers, labels = [], []
    margins: _Margins | None = None
    try:
        for row, path in enumerate(paths):
            with Snapshot(path, train=half == "train") as snapshot:
                columns = {name: snapshot.column(name) for name in NEEDED}
                if half == "eval" and not all(snapshot.has(name) for name in MARGINS):
                    margins = margins or _Margins(run)
                    columns |= margins.columns(snapshot)
                numbers.append(snapshot.info.index)
                labels.append(snapshot.info.label)
            for name in NEEDED:
                if not row:
                    stacked[name] = np.empty((len(paths), *columns[name].shape), columns[name].dtype)
                stacked[name][row] = columns[name]
    finally:
        if margins is not None:
            margins.close()
    if examples is None:
        examples = getattr(read_examples(run.examples_file), half)
    passages = number_passages([example.context for example in examples])
    held_out = _read_held_out(run, passages) if half == "train" else None
    return replace(dynamics(stacked, numbers, labels, passages), held_out=held_out)


def _epoch(path: Path, half: Half) -> int:
    """The epoch of a snapshot that is part of the dynamics; 0 for any other, and for one that is damaged."""
    try:
        with Snapshot(path, train=half == "train") as snapshot:
            info = snapshot.info
            return int(info.epoch) if counts(info.epoch) and info.sampled_of is None else 0
    except (OSError, DataError):
        return 0


def _read_held_out(run: RunDir, passages: IntArray) -> Dynamics | None:
    """Dynamics of the training examples of `passages` [N] by the models of the folds, which never saw them: of the
    epochs that all folds have. None as long as a fold is not done."""
    fold_of = read_fold_of(run)
    if fold_of is None or len(fold_of) != len(passages):
        return None
    folds = fold_runs(run, int(fold_of.max()) + 1)
    files = [{_epoch(path, "eval"): path for path in snapshot_files(fold.snapshots)} for fold in folds]
    if not all(
        is_run_dir(fold.path) and fold.config.epochs in of_fold for fold, of_fold in zip(folds, files, strict=True)
    ):
        return None
    epochs = sorted(set.intersection(*map(set, files)) - {0})
    stacked = {name: np.empty((len(epochs), len(fold_of)), COLUMNS[name]) for name in NEEDED}
    for number, of_fold in enumerate(files):
        held = np.flatnonzero(fold_of == number)
        for row, epoch in enumerate(epochs):
            with Snapshot(of_fold[epoch]) as snapshot:
                for name in NEEDED:
                    stacked[name][row, held] = snapshot.column(name)
    return dynamics(stacked, epochs, [f"epoch {epoch}" for epoch in epochs], passages)


def snapshot_files(folder: Path) -> list[Path]:
    """The snapshot files of a folder, in their order."""
    return sorted(folder.glob("[0-9]*.safetensors"), key=lambda path: (len(path.name), path.name))


class _Margins:
    """Computes the margins of snapshots that lack them."""

    def __init__(self, run: RunDir) -> None:
        self._set = EvalSet(run)
        self._windows: WindowTable = self._set.windows()
        self._gold: GoldSpans = gold_spans(self._set.examples, self._windows)

    def columns(self, snapshot: Snapshot) -> dict[str, NDArray[np.float32]]:
        return margin_columns(
            self._windows,
            self._gold,
            *snapshot.logits(),
            max_answer_length=self._set.max_answer_length,
            allow_null=self._set.allow_null,
        )

    def close(self) -> None:
        self._set.close()
