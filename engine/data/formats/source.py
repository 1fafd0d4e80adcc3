"""A data file from disk as plain Python values, recognised by its content and not by its ending."""

from __future__ import annotations

import gzip
import io
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from engine.data.formats import json_text, parquet, table
from engine.data.formats.table import CHECK_HINT
from engine.errors import DataError

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
MAX_GROWTH = 200
"""Refuse gzip files that unpack to more than this many times their size (plus 16 MB): text shrinks to a tenth."""
COMPRESSED = {
    ZIP: "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


HEAD_BYTES = 1 << 20


class Container(Protocol):
    """What a module of a kind of file has."""

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with `head` is of this kind."""

    def values(self, path: Path, data: bytes) -> Any:
        """The content of the file as plain Python values. Raises DataError."""


CONTAINERS: list[Container] = [
    parquet,
    json_text,
    table,
]
"""The kinds of files that are read; the first one that matches reads a file. A kind is one module and one line here."""


def read_values(path: Path) -> Any:
    """The file's content: a JSON value, or for JSON lines, CSV, TSV and Parquet a list of rows (dicts).

    A gzip file is unpacked first. Raises DataError for a file that is missing, unreadable, empty, compressed otherwise,
    not UTF-8 or not well formed, and for one that does not fit the memory.
    """
    data = read_bytes(path, lambda head: head.startswith(GZIP) or container_of(path, head))
    try:
        if data.startswith(GZIP):
            data = unpacked(path, data)
        return container_of(path, data[:HEAD_BYTES]).values(path, data)
    except MemoryError:
        raise not_enough_memory(path) from None


def unpacked(path: Path, data: bytes) -> bytes:
    """The content of a gzip file. Raises DataError for a damaged one, and for one that grows without measure."""
    limit = MAX_GROWTH * len(data) + 16_000_000
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name}: not a whole gzip file: {error}.", hint="Copy or download it again.") from None
    if len(content) > limit:
        raise DataError(
            f"{path.name}: the gzip file unpacks to more than {limit / 1e6:,.0f} MB.", hint="Unpack it first."
        )
    return content


def container_of(path: Path, head: bytes) -> Container:
    """What reads a file that begins with `head`. Raises DataError where nothing does."""
    if head.startswith(ZIP) and (b"xl/" in head or b"[Content_Types].xml" in head):
        raise DataError(f"{path.name}: an Excel workbook is not read.", hint="Save the sheet as CSV (UTF-8) first.")
    for magic, kind in COMPRESSED.items():
        if head.startswith(magic):
            raise DataError(f"{path.name}: the file is compressed ({kind}).", hint="Unpack it first.")
    found = next((container for container in CONTAINERS if container.matches(head)), None)
    if found is None:
        raise DataError(
            f"{path.name}: neither JSON nor a table with the columns context and question.", hint=CHECK_HINT
        )
    return found


def not_enough_memory(path: Path) -> DataError:
    """For a file that does not fit the memory."""
    return DataError(
        f"{path}: the file has {path.stat().st_size / 1e6:,.0f} MB, and there is not enough memory to read it.",
        hint="Split the file, or use a machine with more memory.",
    )


def read_bytes(path: Path, readable: Callable[[bytes], object] | None = None) -> bytes:
    """The bytes of a regular file; DataError where it is missing, a folder, a device, unreadable or too large for the
    memory. `readable` sees the first HEAD_BYTES and may raise before the rest is read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise DataError(f"{path}: this is a folder, not a data set.", hint="Name a file in it.")
        if not stat.S_ISREG(mode):
            raise DataError(f"{path}: this is not a regular file.", hint="Save the data in a file first.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if readable is not None:
                readable(head)
            return head + file.read()
    except MemoryError:
        raise not_enough_memory(path) from None
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.", hint=_samples_hint()) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path}: can't be read: {reason}.") from None


def _samples_hint() -> str:
    from engine.data.samples import sample_names

    names = sample_names()
    return f"Sample data sets: {', '.join(names)}." if names else ""
