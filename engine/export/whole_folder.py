"""A folder, or a file that another library writes, which appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

import psutil

from engine.errors import WriteError
from engine.storage.atomic_io import (
    PRIVATE_FILE,
    is_full,
    make_folder,
    operations,
    raises_write_error,
    remove_folder,
    sync_file,
    sync_folder,
)

SPARE_BYTES = 1 << 20


@contextmanager
def whole_folder(path: Path, needed: int) -> Iterator[Path]:
    """A temporary folder beside `path`, which is renamed to it when the block ends; removed when it raises.

    Raises WriteError where fewer than `needed` bytes are free, or where `path` exists by then.
    """
    with _temporary_folder(path, needed) as making:
        yield making
        for file in making.iterdir():
            _settle(file)
        sync_folder(making)
        _put(making, path)


@contextmanager
def whole_file(path: Path, needed: int) -> Iterator[Path]:
    """A file to be made in a temporary folder beside `path`, which is renamed to it when the block ends.

    Raises WriteError as `whole_folder` does.
    """
    with _temporary_folder(path, needed) as making:
        yield making / path.name
        _settle(making / path.name)
        _put(making / path.name, path)


@contextmanager
def _temporary_folder(path: Path, needed: int) -> Iterator[Path]:
    """A folder beside `path`, removed when the block ends; a WriteError for want of room says so."""
    path = Path(os.path.abspath(path))
    check_room(path, needed)
    make_folder(path.parent)
    _sweep(path)
    making = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove_folder(making)
    make_folder(making)
    try:
        with raises_write_error(path):
            yield making
    except WriteError as error:
        if is_full(error):
            raise _no_room(path, "the disk or the quota is full") from error
        raise
    finally:
        with suppress(WriteError, OSError):
            remove_folder(making)


def _sweep(path: Path) -> None:
    """Remove what an export to the same place left that was killed on this host."""
    for left in path.parent.glob(f".{escape(path.name)}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            with suppress(WriteError, OSError):
                remove_folder(left)


def _settle(file: Path) -> None:
    """Make a file that another library wrote last, for its owner alone. Raises OSError."""
    os.chmod(file, PRIVATE_FILE)
    sync_file(file)


def _put(made: Path, path: Path) -> None:
    """Rename what is whole. Raises OSError, and WriteError where `path` exists."""
    if os.path.lexists(path):
        raise WriteError(f"{path}: exists already.", hint="Choose another name; nothing is overwritten.")
    operations.rename(made, path)
    sync_folder(path.absolute().parent)


def check_room(path: Path, needed: int) -> None:
    """Raise WriteError where the disk of `path`, which need not exist, has fewer than `needed` bytes free."""
    place = next(folder for folder in path.absolute().parents if folder.is_dir())
    with raises_write_error(place):
        free = shutil.disk_usage(place).free
    if free < needed + SPARE_BYTES:
        raise _no_room(path, f"{free / 1e6:,.0f} MB free, and it takes {needed / 1e6:,.0f} MB")


def _no_room(path: Path, why: str) -> WriteError:
    return WriteError(f"{path}: {why}.", hint="Make room, or choose another place; nothing was left there.")
