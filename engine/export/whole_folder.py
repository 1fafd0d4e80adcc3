"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import WriteError
from engine.storage.atomic_io import (
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
    path = Path(os.path.abspath(path))
    check_room(path, needed)
    make_folder(path.parent)
    making = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove_folder(making)
    make_folder(making)
    try:
        yield making
        with raises_write_error(path):
            for file in making.iterdir():
                sync_file(file)
            sync_folder(making)
            if os.path.lexists(path):
                raise WriteError(f"{path}: exists already.", hint="Choose another name; nothing is overwritten.")
            operations.rename(making, path)
            sync_folder(path.parent)
    except BaseException as error:
        with suppress(WriteError, OSError):
            remove_folder(making)
        if isinstance(error, WriteError) and is_full(error):
            raise _no_room(path, "the disk or the quota is full") from error
        raise


def check_room(path: Path, needed: int) -> None:
    """Raise WriteError where the disk of `path`, which need not exist, has fewer than `needed` bytes free."""
    place = next(folder for folder in path.absolute().parents if folder.is_dir())
    with raises_write_error(place):
        free = shutil.disk_usage(place).free
    if free < needed + SPARE_BYTES:
        raise _no_room(path, f"{free / 1e6:,.0f} MB free, and it takes {needed / 1e6:,.0f} MB")


def _no_room(path: Path, why: str) -> WriteError:
    return WriteError(f"{path}: {why}.", hint="Make room, or choose another place; nothing was left there.")
