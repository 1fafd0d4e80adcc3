"""What a run will write to disk in all, known before its first step."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from msgspec import Struct

from engine.config import RunConfig, scores_training
from engine.errors import WriteError
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import COLUMNS

BYTES_OF_WEIGHT, BYTES_OF_MOMENTS = 4, 8
"""Of one parameter in a checkpoint: float32, and two moments of the optimizer, float32 too."""
COLUMN_BYTES = sum(np.dtype(dtype).itemsize for dtype in COLUMNS.values())
HEADER_BYTES = 4096


class DiskPlan(Struct, frozen=True, kw_only=True):
    """Bytes that a run writes: all its snapshots, and the checkpoints that stay at its end. `peak_bytes` is the most
    that both take at any time: a new checkpoint is whole before an older one is removed."""

    snapshots: int = 0
    snapshot_bytes: int = 0
    checkpoint_bytes: int = 0
    peak_bytes: int = 0

    @property
    def text(self) -> str:
        """For example `writes 0.5 GB: 12 snapshots (188 MB) and checkpoints (273 MB)`."""
        total = size_text(self.snapshot_bytes + self.checkpoint_bytes)
        snapshots = "1 snapshot" if self.snapshots == 1 else f"{self.snapshots:,} snapshots"
        parts = f"{snapshots} ({size_text(self.snapshot_bytes)}) and checkpoints ({size_text(self.checkpoint_bytes)})"
        return f"writes {total}: {parts}"


def size_text(size: int) -> str:
    """For example `188 MB` or `1.4 GB`; powers of ten, as disks are sold."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def plan_disk(
    config: RunConfig,
    *,
    snapshots: int,
    eval_tokens: int,
    eval_examples: int,
    train_tokens: int,
    train_examples: int,
    parameters: int,
    trained_parameters: int,
    tokenizer_bytes: int = 0,
    samples: int = 0,
    sample_tokens: int = 0,
) -> DiskPlan:
    """What a run of `config` writes; `snapshots` counts its own that are planned, of which `samples` hold the scores of
    `sample_tokens` tokens and the others of `eval_tokens`; `train_tokens` are those of the training half,
    `trained_parameters` those that are not frozen."""
    of_token = 2 * np.dtype(config.snapshot_dtype).itemsize
    scored = of_token * ((snapshots - samples) * eval_tokens + samples * sample_tokens)
    scored += snapshots * (COLUMN_BYTES * eval_examples + HEADER_BYTES)
    if scores_training(config):
        scored += config.epochs * (COLUMN_BYTES * train_examples + HEADER_BYTES)
    folds = config.folds or 0
    if folds:
        # Each training example is in one fold, and its tokens' scores are in float16.
        scored += (config.epochs + 1) * (4 * train_tokens + COLUMN_BYTES * train_examples + folds * HEADER_BYTES)
    weights = BYTES_OF_WEIGHT * parameters + tokenizer_bytes
    whole = weights + BYTES_OF_MOMENTS * trained_parameters
    # Besides the newest checkpoint, which is whole: weights of earlier epochs.
    best = config.keep_weights == "best" or config.early_stopping_patience is not None
    others = config.epochs - 1 if config.keep_weights == "all" else min(int(best), config.epochs - 1)
    kept = whole + weights * (others + folds)
    return DiskPlan(
        snapshots=snapshots,
        snapshot_bytes=scored,
        checkpoint_bytes=kept,
        peak_bytes=scored + kept + whole,  # while a checkpoint is made, the one before is still whole
    )


def check_room(run: RunDir, plan: DiskPlan) -> None:
    """Raise WriteError where the run's disk can't hold what the plan still has to write."""
    written = sum(_size(folder) for folder in (run.snapshots, run.train_snapshots, run.checkpoints, run.folds))
    needed, free = max(0, plan.peak_bytes - written), shutil.disk_usage(run.path).free
    if free < needed:
        raise WriteError(
            f"{run.path}: {size_text(free)} free, and the run needs {size_text(needed)} ({plan.text}; a new checkpoint "
            "is written before an older one is removed).",
            hint="Make room, choose another place with --run-dir, or write less: --snapshot-dtype float16, "
            "--snapshot-limit N, --no-early-snapshots, --keep-weights last.",
        )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
