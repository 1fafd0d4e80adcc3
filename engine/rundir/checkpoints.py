"""The checkpoints of a run: which are whole, and whose weights are kept.

MANIFEST.json, with the size and SHA-256 of every file, is written last: without it a checkpoint does not exist.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.errors import DataError, UsageError, UserError
from engine.rundir.layout import RunDir, is_run_dir, read_json
from engine.rundir.snapshot import Snapshot, SnapshotInfo
from engine.storage.atomic_io import remove_file, replace_file

MANIFEST, STATE, STATE_TENSORS = "MANIFEST.json", "state.json", "state.safetensors"
NAME = re.compile(r"(epoch-\d{4,}|step-\d{8,})")


class FileEntry(Struct, frozen=True):
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What a checkpoint consists of."""

    step: int
    epoch: float
    files: dict[str, FileEntry]
    schema: int = 1

    @property
    def resumable(self) -> bool:
        return STATE in self.files and STATE_TENSORS in self.files

    @property
    def model_files(self) -> dict[str, FileEntry]:
        """The files of model and tokenizer, without the optimizer's state."""
        return {name: entry for name, entry in self.files.items() if name not in (STATE, STATE_TENSORS)}


@dataclass(frozen=True)
class KeptWeights:
    """A whole checkpoint; `snapshot` is what was measured with its weights, None where that was not (yet) done."""

    folder: Path
    manifest: Manifest
    snapshot: SnapshotInfo | None

    @property
    def label(self) -> str:
        """For example `epoch 3 (snapshot 12, F1 81.2)`."""
        if self.snapshot is None:
            return f"step {self.manifest.step} (no snapshot)"
        return _described(self.snapshot)


def checkpoints(run: RunDir) -> dict[Path, Manifest]:
    """Every checkpoint that has a manifest and all its files in their size, by step; digests are not computed."""
    found: dict[Path, Manifest] = {}
    for folder in _folders(run):
        if (manifest := _manifest(folder)) is not None:
            found[folder] = manifest
    return dict(sorted(found.items(), key=lambda item: item[1].step))


def kept_weights(run: RunDir) -> list[KeptWeights]:
    """The whole checkpoints of a run with what was measured of them on all eval examples, by step."""
    by_step = {info.step: info for info in snapshot_infos(run) if info.sampled_of is None}
    return [KeptWeights(folder, held, by_step.get(held.step)) for folder, held in checkpoints(run).items()]


def find_weights(run: RunDir, wanted: str = "best") -> KeptWeights:
    """The checkpoint of a snapshot: its number, `best` (the epoch with the highest F1, the latest of equals) or `last`
    (the newest checkpoint).

    Raises UsageError where there is no such snapshot or its weights are not kept, and says which are; DataError where
    its checkpoint is damaged.
    """
    kept, infos = kept_weights(run), snapshot_infos(run)
    if wanted == "last":
        if not kept:
            raise _not_kept(run, "no checkpoint is kept", kept)
        return kept[-1]
    if wanted == "best":
        best = best_epoch(infos)
        if best is None:
            raise _not_kept(run, "no epoch has been scored yet", kept)
        chosen = best
        what = f"the weights of the best epoch, {_described(chosen)}, are not kept"
    elif wanted.isascii() and wanted.isdigit():
        found = [info for info in infos if info.index == int(wanted)]
        if not found:
            count = f"; they count from 0 to {infos[-1].index}" if infos else ""
            raise _not_kept(run, f"there is no snapshot {wanted}{count}", kept)
        chosen = found[0]
        what = f"the weights of snapshot {wanted} ({chosen.label}) are not kept"
    else:
        raise UsageError(f"{wanted!r} is no snapshot.", hint="A snapshot is its number, best or last.")
    for weights in kept:
        if weights.manifest.step == chosen.step:
            return weights
    raise _not_kept(run, what, kept)


def best_kept(run: RunDir) -> KeptWeights:
    """The kept epoch with the highest F1, the latest of equals; the newest checkpoint where none was scored.

    Raises as `find_weights`, where no weights are kept.
    """
    scored = [
        (weights.snapshot.metrics.f1, weights.manifest.step, weights)
        for weights in kept_weights(run)
        if weights.snapshot is not None and weights.folder.name.startswith("epoch-")
    ]
    return max(scored, key=lambda item: item[:2])[2] if scored else find_weights(run, "last")


def run_of_checkpoint(folder: Path) -> RunDir | None:
    """The run that a checkpoint's folder belongs to; None for any other folder.

    Raises DataError for a checkpoint that is half written.
    """
    path = folder.parent.parent
    if folder.parent.name != "checkpoints" or not NAME.fullmatch(folder.name) or not is_run_dir(path):
        return None
    if folder.is_dir() and _manifest(folder) is None:
        raise DataError(
            f"{folder}: the checkpoint is half written or damaged.",
            hint="Name the run instead: its whole checkpoints are found by themselves.",
        )
    return RunDir(path)


def best_epoch(infos: Sequence[SnapshotInfo]) -> SnapshotInfo | None:
    """The whole epoch with the highest F1, the latest of equals; None where no epoch has been scored."""
    epochs = [info for info in infos if info.epoch >= 1 and float(info.epoch).is_integer()]
    return max(epochs, key=lambda info: (info.metrics.f1, info.step), default=None)


def snapshot_infos(run: RunDir) -> list[SnapshotInfo]:
    """What the snapshots of a run are of, by number; a damaged one is left out."""
    infos = []
    for path in run.snapshots.glob("*.safetensors"):
        try:
            with Snapshot(path) as snapshot:
                infos.append(snapshot.info)
        except (OSError, DataError):
            continue
    return sorted(infos, key=lambda info: info.index)


def file_entry(path: Path) -> FileEntry:
    """Size and SHA-256 of a file. Raises OSError, also for a symbolic link."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(os.fstat(file.fileno()).st_size, digest)


def is_unchanged(path: Path, entry: FileEntry) -> bool:
    """Whether a file is as its checkpoint's manifest has it."""
    try:
        return file_entry(path) == entry
    except OSError:
        return False


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a checkpoint's manifest, whole or not at all. Raises WriteError."""
    replace_file(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def drop_state(folder: Path, manifest: Manifest) -> None:
    """Take the optimizer's state out of a checkpoint, which is whole before and after. Raises WriteError."""
    write_manifest(folder, msgspec.structs.replace(manifest, files=manifest.model_files))
    remove_file(folder / STATE)
    remove_file(folder / STATE_TENSORS)


def _described(info: SnapshotInfo) -> str:
    return f"{info.label} (snapshot {info.index}, F1 {info.metrics.f1:.1f})"


def _not_kept(run: RunDir, what: str, kept: list[KeptWeights]) -> UserError:
    damaged = [folder.name for folder in _folders(run) if _manifest(folder) is None]
    problem = f"{run.path}: {what}"
    if damaged:
        return DataError(
            f"{problem}; {', '.join(sorted(damaged))} is half written or damaged.",
            hint=_choice(kept) if kept else f"`bertqa-tui resume {run.path}` writes it again.",
        )
    return UsageError(f"{problem}.", hint=_choice(kept) if kept else "A checkpoint is saved at the end of each epoch.")


def _choice(kept: list[KeptWeights]) -> str:
    listed = ", ".join(weights.label for weights in kept)
    return f"Kept: {listed}; choose with --snapshot N or last. --keep-weights all keeps those of every epoch."


def _folders(run: RunDir) -> list[Path]:
    if not run.checkpoints.is_dir():
        return []
    return [path for path in run.checkpoints.iterdir() if NAME.fullmatch(path.name) and not path.is_symlink()]


def _manifest(folder: Path) -> Manifest | None:
    try:
        manifest = read_json(folder / MANIFEST, Manifest)
        sizes = {name: (folder / name).stat().st_size for name in manifest.files}
    except (UserError, OSError):
        return None
    whole = all(name == Path(name).name and sizes[name] == entry.size for name, entry in manifest.files.items())
    return manifest if whole else None
