"""Named NumPy arrays in one file: the safetensors format, written durably and read in slices.

Reading takes `pread` and never maps the file: a mapped file that a network file system replaces ends the
reader with SIGBUS. Format: https://github.com/huggingface/safetensors (8 bytes header size, JSON, data).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from engine.storage.atomic_io import replace_file
from engine.storage.safe_open import open_regular, read_at

MAX_HEADER = 16 << 20
DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "F16": np.dtype("<f2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str], *, sync: bool = True
) -> None:
    """Write `tensors` with `metadata` to `path`, whole or not at all. Raises WriteError. `sync` as of `replace_file`.

    Array after array goes straight to the file: saving a model takes no second copy of it.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    arrays = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    # Elements of 8 bytes first, so that every array begins at a multiple of its element's size.
    for name in sorted(arrays, key=lambda n: (-arrays[n].itemsize, n)):
        array = arrays[name] = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False)
        header[name] = _Entry(names[array.dtype], array.shape, (end, end + array.nbytes))
        end += array.nbytes
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)

    def chunks() -> Iterator[bytes | memoryview]:
        yield len(text).to_bytes(8, "little") + text
        for name in header:
            if name in arrays and arrays[name].size:
                yield arrays[name].data.cast("B")

    replace_file(path, chunks(), sync=sync)


class Tensors:
    """The arrays of one file; the header is read at once, data when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises OSError where it can't be opened, and DataError where the file is damaged."""
        self.path = path
        self._fd = -1
        self._fd = open_regular(path)
        try:
            file_size = os.fstat(self._fd).st_size
            size = int.from_bytes(read_at(self._fd, 8, 0), "little")
            if not 2 <= size <= min(MAX_HEADER, file_size - 8):
                raise ValueError("bad header size")
            header: dict[str, msgspec.Raw] = msgspec.json.decode(
                read_at(self._fd, size, 8), type=dict[str, msgspec.Raw]
            )
            raw = header.pop("__metadata__", None)
            self.metadata = msgspec.json.decode(raw, type=dict[str, str]) if raw is not None else {}
            self._entries = {name: msgspec.json.decode(entry, type=_Entry) for name, entry in header.items()}
            self._start = 8 + size
            for name, entry in self._entries.items():
                self._check(name, entry, file_size - self._start)
        except (OSError, ValueError, RecursionError) as error:
            self.close()
            raise DataError(f"{path}: damaged file ({error}).") from None

    @staticmethod
    def _check(name: str, entry: _Entry, available: int) -> None:
        lo, hi = entry.data_offsets
        count = 1
        for side in entry.shape:
            count *= side
        if entry.dtype not in DTYPES or min(entry.shape, default=0) < 0 or not 0 <= lo <= hi <= available:
            raise ValueError(f"bad entry {name!r}")
        if hi - lo != count * DTYPES[entry.dtype].itemsize:
            raise ValueError(f"bad size of {name!r}")

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def length(self, name: str) -> int:
        """First dimension of the array `name`."""
        shape = self._entries[name].shape
        return shape[0] if shape else 1

    def dtype(self, name: str) -> np.dtype[Any]:
        """How the elements of the array `name` are stored."""
        return DTYPES[self._entries[name].dtype]

    def read(self, name: str, lo: int = 0, hi: int | None = None) -> NDArray[Any]:
        """Rows `lo` to `hi` of the array `name`. Raises KeyError, and DataError where the file ends early."""
        entry = self._entries[name]
        dtype, shape = DTYPES[entry.dtype], entry.shape
        rows = shape[0] if shape else 1
        lo, hi, _ = slice(lo, hi).indices(rows)
        width = dtype.itemsize
        for side in shape[1:]:
            width *= side
        wanted = max(0, hi - lo) * width
        data = read_at(self._fd, wanted, self._start + entry.data_offsets[0] + lo * width)
        if len(data) != wanted:
            raise DataError(f"{self.path}: the file ends early.")
        return np.frombuffer(data, dtype).reshape((max(0, hi - lo), *shape[1:]) if shape else ())

    def read_into(self, name: str, out: NDArray[Any]) -> None:
        """Read the array `name` into `out`, whose memory is in one piece, without another copy.

        Raises KeyError, ValueError where `out` has another shape or dtype, and DataError where the file ends early.
        """
        entry = self._entries[name]
        if entry.shape != out.shape or DTYPES[entry.dtype] != out.dtype:
            raise ValueError(f"{name!r} is {entry.shape} of {entry.dtype}, not {out.shape} of {out.dtype}")
        rest, place = out.reshape(-1).data.cast("B"), self._start + entry.data_offsets[0]
        while rest:
            read = os.preadv(self._fd, [rest], place)
            if not read:
                raise DataError(f"{self.path}: the file ends early.")
            rest, place = rest[read:], place + read

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Tensors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
