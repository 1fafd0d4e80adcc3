"""Training dynamics of a run, from its snapshots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Example, read_examples
from engine.errors import DataError
from engine.insight.dynamics import NEEDED, Dynamics, IntArray, counts, dynamics, joined, number_passages
from engine.insight.margins import MARGINS, GoldSpans, gold_spans, margin_columns
from engine.insight.spans import WindowTable
from engine.rundir.eval_set import EvalSet
from engine.rundir.folds import fold_runs, read_fold_of
from engine.rundir.layout import RunDir, is_run_dir
from engine.rundir.snapshot import COLUMNS, Snapshot

Half = Literal["eval", "train"]
Columns = dict[str, NDArray[Any]]
CELLS = 1 << 17
"""Values of a column that are looked at together: of 30 snapshots those of 4,400 examples. All columns of so many take
5 MB, and as much again while they are summed up."""

OPEN = 200
"""Snapshots that stay open while they are read part by part; a process may have some more files open."""


@dataclass(frozen=True)
class Epochs:
    """The S snapshots of a run that count, by number and name, and how the columns NEEDED of their N examples are read:
    `read(lo, hi)` gives those of examples `lo` to `hi`, `[S, hi - lo]` each."""

    numbers: tuple[int, ...]
    labels: tuple[str, ...]
    n_examples: int
    read: Callable[[int, int], Columns]


def read_dynamics(run: RunDir, half: Half = "eval", examples: Sequence[Example] | None = None) -> Dynamics | None:
    """Dynamics of the run's eval examples, or of its training examples; None where no epoch was scored.

    Training examples are scored with the options `track_train` and `folds`; they are in the order of the training half
    of examples.json. `examples` are those of the half, where they have been read already.

    Once all folds of a run are done, those of its training examples hold what the folds' models found (`held_out`).
    """
    epochs = scored_epochs(run, half)
    if epochs is None:
        return None
    if examples is None:
        examples = getattr(read_examples(run.examples_file), half)
    passages = number_passages([example.context for example in examples])
    held_out = held_out_epochs(run, len(passages)) if half == "train" else None
    return replace(
        _dynamics(epochs, passages), held_out=_dynamics(held_out, passages) if held_out is not None else None
    )


def _dynamics(epochs: Epochs, passages: IntArray) -> Dynamics:
    """Some examples at a time, as all columns of all snapshots would take too much memory."""
    size = max(1, CELLS // max(1, len(epochs.numbers)))
    parts = [
        dynamics(epochs.read(lo, min(lo + size, epochs.n_examples)), epochs.numbers, epochs.labels)
        for lo in range(0, max(1, epochs.n_examples), size)
    ]
    return replace(joined(parts), passages=passages)


def scored_epochs(run: RunDir, half: Half = "eval") -> Epochs | None:
    """The snapshots of a half that count; None where there is none, without those that are damaged.

    Snapshots of older versions hold no margins: they are computed from the scores of all tokens, which takes up to half
    a second for 10,000 examples and snapshot. Raises DataError where they are not of the same examples.
    """
    train = half == "train"
    found: list[tuple[Path, int, str, int, Columns]] = []
    margins: _Margins | None = None
    try:
        for path in snapshot_files(run.train_snapshots if train else run.snapshots):
            if not _epoch(path, half):
                continue
            with Snapshot(path, train=train) as snapshot:
                computed: Columns = {}
                if not train and not all(snapshot.has(name) for name in MARGINS):
                    margins = margins or _Margins(run)
                    computed = dict(margins.columns(snapshot))
                found.append((path, snapshot.info.index, snapshot.info.label, snapshot.n_examples, computed))
    finally:
        if margins is not None:
            margins.close()
    if not found:
        return None
    paths, numbers, labels, sizes, computed_of = zip(*found, strict=True)
    opened = lru_cache(maxsize=OPEN)(lambda path: Snapshot(path, train=train))
    if len(set(sizes)) > 1:
        raise DataError(f"{run.path}: its snapshots are of different numbers of examples.")

    def read(lo: int, hi: int) -> Columns:
        columns = _empty(len(paths), hi - lo)
        for row, (path, computed) in enumerate(zip(paths, computed_of, strict=True)):
            snapshot = opened(path)
            for name in NEEDED:
                columns[name][row] = computed[name][lo:hi] if name in computed else snapshot.column(name, lo, hi)
        return columns

    return Epochs(numbers, labels, sizes[0], read)


def held_out_epochs(run: RunDir, n_examples: int) -> Epochs | None:
    """What the models of the folds, which never saw them, say of the `n_examples` training examples: at the epochs that
    all folds have. None as long as a fold is not done."""
    fold_of = read_fold_of(run)
    if fold_of is None or len(fold_of) != n_examples:
        return None
    folds = fold_runs(run, int(fold_of.max()) + 1)
    files = [{_epoch(path, "eval"): path for path in snapshot_files(fold.snapshots)} for fold in folds]
    if not all(
        is_run_dir(fold.path) and fold.config.epochs in of_fold for fold, of_fold in zip(folds, files, strict=True)
    ):
        return None
    epochs = tuple(sorted(set.intersection(*map(set, files)) - {0}))
    held_by = [np.flatnonzero(fold_of == number) for number in range(len(files))]

    def read(lo: int, hi: int) -> Columns:
        columns = _empty(len(epochs), hi - lo)
        for of_fold, held in zip(files, held_by, strict=True):
            first, last = np.searchsorted(held, [lo, hi]).tolist()
            for row, epoch in enumerate(epochs):
                with Snapshot(of_fold[epoch]) as snapshot:
                    for name in NEEDED:
                        columns[name][row, held[first:last] - lo] = snapshot.column(name, first, last)
        return columns

    return Epochs(epochs, tuple(f"epoch {epoch}" for epoch in epochs), n_examples, read)


def _empty(snapshots: int, examples: int) -> Columns:
    return {name: np.empty((snapshots, examples), COLUMNS[name]) for name in NEEDED}


def _epoch(path: Path, half: Half) -> int:
    """The epoch of a snapshot that is part of the dynamics; 0 for any other, and for one that is damaged."""
    try:
        with Snapshot(path, train=half == "train") as snapshot:
            info = snapshot.info
            return int(info.epoch) if counts(info.epoch) and info.sampled_of is None else 0
    except (OSError, DataError):
        return 0


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
