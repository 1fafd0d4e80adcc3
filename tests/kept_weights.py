"""Checkpoints for runs that were written without training."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from engine.rundir.checkpoints import MANIFEST, STATE, STATE_TENSORS, Manifest, file_entry
from engine.rundir.layout import RunDir
from tests.fake_run import STEPS_PER_EPOCH


def keep_weights(run: RunDir, epoch: int, model: Path | None = None) -> Path:
    """Write a checkpoint of `epoch` with the files of the folder `model`, or else with a few that are none of a model;
    returns its folder."""
    folder = run.checkpoints / f"epoch-{epoch:04}"
    folder.mkdir()
    if model is not None:
        shutil.copytree(model, folder, dirs_exist_ok=True)
    for name in (
        (STATE, STATE_TENSORS) if model is not None else ("model.safetensors", "config.json", STATE, STATE_TENSORS)
    ):
        (folder / name).write_text(f"{name} {epoch}")
    seal(folder, epoch)
    return folder


def seal(folder: Path, epoch: int) -> None:
    """Write the manifest of a checkpoint's files as they are now."""
    files = {path.name: file_entry(path) for path in folder.iterdir() if path.name != MANIFEST}
    (folder / MANIFEST).write_bytes(msgspec.json.encode(Manifest(epoch * STEPS_PER_EPOCH, float(epoch), files)))
