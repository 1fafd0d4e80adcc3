"""A run on disk: where everything lies, what it was asked to do, and who may write there."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from engine.config import RunConfig
from engine.data.run_data import Remark
from engine.errors import UsageError, WriteError
from engine.models import WeightsMark
from engine.storage.atomic_io import PRIVATE_FOLDER, create_file, make_folder, raises_write_error
from engine.storage.safe_open import read_small

T = TypeVar("T")
SCHEMA = 1
MAX_JSON = 16 << 20
PACKAGES = ("bertqa-tui", "torch", "transformers", "tokenizers", "numpy", "safetensors")


class DataIdentity(Struct, frozen=True):
    """Name, size in bytes and SHA-256 of a data file."""

    path: str
    size: int
    sha256: str


class ModelIdentity(Struct, frozen=True):
    """Which weights a run began with."""

    name: str
    revision: str | None
    sha256: str | None
    parameters: int


class RunInfo(Struct, frozen=True, kw_only=True):
    """run.json: written once, by the engine, when data and model are loaded."""

    schema: int = SCHEMA
    config: RunConfig
    lr: float
    max_answer_length: int
    allow_null: bool
    data: tuple[DataIdentity, ...]
    model: ModelIdentity
    versions: dict[str, str]
    host: str
    device: str
    precision: str
    world_size: int
    created: float


class StartInfo(Struct, frozen=True, kw_only=True):
    """start.json: what whoever started the run has checked, so that the engine goes on from there.

    `allow_null`: "no answer" may be predicted; `weights` are known where they were hashed.
    """

    data: tuple[DataIdentity, ...]
    allow_null: bool
    remarks: tuple[Remark, ...] = ()
    weights: WeightsMark | None = None


class _Versioned(Struct):
    schema: int


TRACKERS = ("tensorboard", "trackio", "wandb")
"""What a run may be mirrored to."""


class RunDir:
    """The folder of one run. Making one of these touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.abspath(path))
        self.name = self.path.name
        self.config_file = self.path / "config.json"
        self.run_file = self.path / "run.json"
        self.start_file = self.path / "start.json"
        self.examples_file = self.path / "examples.json"
        self.features_file = self.path / "features.safetensors"
        self.events_file = self.path / "events.jsonl"
        self.snapshots = self.path / "snapshots"
        self.train_snapshots = self.path / "train_snapshots"
        self.folds = self.path / "folds"
        self.checkpoints = self.path / "checkpoints"
        self.commands = self.path / "commands"
        self.reserve_file = self.path / ".reserve"
        self.verdicts = self.path / "verdicts"
        self.notes_file = self.path / "notes.json"
        self.sweep_file = self.path / "sweep.json"
        self.owner_file = self.path / "owner.json"
        self.lock_file = self.path / "lock"
        self.heartbeat_file = self.path / "heartbeat"
        self.engine_log = self.path / "engine.log"

    def tracker_files(self, tool: str) -> tuple[Path, Path, Path]:
        """What a tracker's process prints, how far it is, and the folder of what the tracker itself writes."""
        return self.path / f"report-{tool}.log", self.path / f"reported-{tool}.json", self.path / tool

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> RunDir:
        """Make the folder of a new run (0700) and write config.json.

        Raises WriteError where one exists, or where the folder holds anything else.
        """
        run = cls(path)
        if os.path.lexists(run.config_file):
            raise WriteError(
                f"{path}: there is a run already.",
                hint="Resume it, or choose another --run-dir; nothing is overwritten.",
            )
        with raises_write_error(run.path):
            if run.path.is_dir() and any(run.path.iterdir()):
                raise WriteError(f"{path}: the folder is not empty.", hint="Choose another --run-dir.")
            make_folder(run.path)
            os.chmod(run.path, PRIVATE_FOLDER)
        for folder in (run.snapshots, run.checkpoints, run.commands):
            make_folder(folder)
        create_file(run.config_file, msgspec.json.format(msgspec.json.encode(config), indent=1) + b"\n")
        return run

    @property
    def config(self) -> RunConfig:
        """What the run was asked to do, for looking at it: where a newer version wrote a value that this one does not
        know, the default of that option. Raises UsageError where it can't be read."""
        return _convert(self.config_file, _known_options(read_json(self.config_file, dict[str, Any])), RunConfig)

    @property
    def exact_config(self) -> RunConfig:
        """What the run was asked to do, for going on with it. Raises UsageError for a value that is not known."""
        values = read_json(self.config_file, dict[str, Any])
        known = _known_options(values)
        if strange := [f"{name} = {value!r}"[:200] for name, value in values.items() if name not in known]:
            raise UsageError(
                f"{self.path}: asks for what this version does not know: {', '.join(strange)}.",
                hint="Resume it with the version of bertqa-tui that started it.",
            )
        return _convert(self.config_file, known, RunConfig)

    @property
    def info(self) -> RunInfo | None:
        """run.json; None as long as the engine has not written it, or where a newer version wrote what we can't read.

        Raises UsageError where it is damaged.
        """
        if not self.run_file.exists():
            return None
        values = read_json(self.run_file, dict[str, Any])
        if isinstance(config := values.get("config"), dict):
            values["config"] = _known_options(config)
        try:
            return _convert(self.run_file, values, RunInfo)
        except UsageError:
            if _convert(self.run_file, values, _Versioned).schema > SCHEMA:
                return None
            raise

    @property
    def start_info(self) -> StartInfo | None:
        """start.json; None where there is none, or a newer version wrote what we can't read."""
        try:
            return read_json(self.start_file, StartInfo)
        except UsageError:
            return None

    def inside(self, relative: str) -> Path:
        """The file or folder of the run that an event names. Raises UsageError for a name that leads out of it."""
        parts = Path(relative).parts
        if not parts or os.path.isabs(relative) or ".." in parts or "\0" in relative:
            raise UsageError(f"{relative!r} is not inside the run {self.path}.")
        return self.path.joinpath(*parts)

    def write_start(self, info: StartInfo) -> None:
        """Write start.json, once. Raises WriteError."""
        create_file(self.start_file, msgspec.json.format(msgspec.json.encode(info), indent=1) + b"\n")

    def write_info(self, info: RunInfo) -> None:
        """Write run.json, once. Raises WriteError."""
        create_file(self.run_file, msgspec.json.format(msgspec.json.encode(info), indent=1) + b"\n")


def read_json(path: Path, kind: type[T]) -> T:
    """Decode a file of the run, not following a symbolic link. Raises UsageError where it can't be read."""
    try:
        return msgspec.json.decode(read_small(path, MAX_JSON), type=kind)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from None


def _convert(path: Path, values: dict[str, Any], kind: type[T]) -> T:
    """`values`, which are what the file `path` holds, as a record. Raises UsageError."""
    try:
        return msgspec.convert(values, kind)
    except ValueError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UsageError:
    return UsageError(f"{path}: can't be read ({error}).", hint="Is this the folder of a run?")


def _known_options(values: dict[str, Any]) -> dict[str, Any]:
    """`values` of a RunConfig without the options that have a default and a value that this version does not know."""
    known = dict(values)
    for option in msgspec.structs.fields(RunConfig):
        if option.name in known and not option.required:
            try:
                msgspec.convert(known[option.name], option.type)
            except ValueError:
                del known[option.name]
    return known


def is_run_dir(path: Path) -> bool:
    """Whether `path` is the folder of a run."""
    try:
        return stat.S_ISREG(os.lstat(path / "config.json").st_mode)
    except (OSError, ValueError):
        return False


def list_runs(runs_dir: Path) -> list[Path]:
    """Folders of all runs in `runs_dir`, newest first; [] where there are none."""
    try:
        found = [entry for entry in runs_dir.iterdir() if not entry.is_symlink() and is_run_dir(entry)]
    except OSError:
        return []
    return sorted(found, key=lambda path: (_made_at(path), path.name), reverse=True)


def _made_at(path: Path) -> float:
    try:
        return (path / "config.json").stat().st_mtime
    except OSError:
        return 0.0


def data_identity(path: Path) -> DataIdentity:
    """Size and SHA-256 of a data file. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DataIdentity(str(path), path.stat().st_size, digest)


def versions() -> dict[str, str]:
    """Version of Python and of every package that shapes a run's numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
