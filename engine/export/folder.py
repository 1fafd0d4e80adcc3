"""The weights of one snapshot as a folder that transformers loads: model, tokenizer and config.json."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from engine.errors import DataError
from engine.export.card import write_card
from engine.export.kinds import Request
from engine.export.onnx import check_installed, export_onnx, room_for
from engine.export.whole_folder import whole_folder
from engine.rundir.calibration import CALIBRATION, calibration_of_model, write_calibration
from engine.rundir.checkpoints import FileEntry, KeptWeights, find_weights
from engine.storage.atomic_io import replace_file
from engine.storage.safe_open import open_regular

ONNX = "model.onnx"
CHUNK = 4 << 20


def write(request: Request) -> list[str]:
    """Write the folder `request.path`. Raises UsageError, DataError, WriteError."""
    weights = find_weights(request.run, request.snapshot or "best")
    notes = [f"weights of {weights.label}"]
    needed = size_of(weights)
    if request.onnx:
        check_installed()
        needed += room_for(weights)
    with whole_folder(request.path, needed) as making:
        copy_model(weights, making)
        if request.card:
            write_card(making, request.run, weights, request.name or request.path.name)
        if request.onnx:
            notes.append(export_onnx(request.run, weights, making / ONNX, request.tell))
    return notes


def size_of(weights: KeptWeights) -> int:
    """Bytes of model and tokenizer."""
    return sum(entry.size for entry in weights.manifest.model_files.values())


def copy_model(weights: KeptWeights, folder: Path) -> None:
    """Copy model, tokenizer and config.json into `folder`, without the optimizer's state; and the calibration, where
    there is one.

    Raises DataError where a file is not as the checkpoint's manifest has it, WriteError.
    """
    for name, entry in weights.manifest.model_files.items():
        replace_file(folder / name, _verified(weights.folder / name, entry))
    if CALIBRATION not in weights.manifest.files and (found := calibration_of_model(weights.folder)) is not None:
        write_calibration(folder, found)


def _verified(path: Path, entry: FileEntry) -> Iterator[bytes]:
    """The content of a file; DataError at its end where it is not what `entry` says."""
    digest = hashlib.sha256()
    try:
        with open(open_regular(path), "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                yield chunk
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DataError(f"{path}: can't be read: {os.strerror(error.errno or 0)}.") from None
    if FileEntry(size, digest.hexdigest()) != entry:
        raise DataError(
            f"{path}: not as it was written: its SHA-256 is not the one in MANIFEST.json.",
            hint="The file is damaged: choose another snapshot (--snapshot), or train again.",
        )
