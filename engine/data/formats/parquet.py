"""Reads flat rows from Parquet. The library is imported only here, for it takes a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import DataError

MAX_EXPANSION = 50
"""Refuse files that claim to unpack to more than this many times their size (plus 16 MB)."""
ROWS_AT_ONCE = 32
"""A text that the file holds once may stand in every row; few rows at a time keep that within bounds."""


def matches(head: bytes) -> bool:
    """Whether a file that begins with `head` is Parquet."""
    return head.startswith(b"PAR1")


def values(path: Path, data: bytes) -> list[dict[str, Any]]:
    """All rows. Raises DataError."""
    return parquet_rows(path, data)


def parquet_rows(path: Path, data: bytes) -> list[dict[str, Any]]:
    """All rows; equal texts are one object. Raises DataError for a damaged file or absurd claims of size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = len(data)
    rows: list[dict[str, Any]] = []
    texts: dict[str, str] = {}
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            about = file.metadata
            unpacked = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if about.num_rows > size or unpacked > MAX_EXPANSION * size + 16_000_000:
                raise DataError(f"{path.name}: the Parquet file claims more rows or bytes than it can hold.")
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, use_threads=False):
                for row in batch.to_pylist():
                    rows.append({name: _shared(value, texts) for name, value in row.items()})
    except (pa.ArrowException, OSError, ValueError, MemoryError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path.name}: not a readable Parquet file: {reason}.") from None
    return rows


def _shared(value: Any, texts: dict[str, str]) -> Any:
    """The value with each of its texts replaced by the one object that stands for all equal ones."""
    match value:
        case str():
            return texts.setdefault(value, value)
        case list():
            return [_shared(item, texts) for item in value]
        case dict():
            return {name: _shared(item, texts) for name, item in value.items()}
        case _:
            return value
