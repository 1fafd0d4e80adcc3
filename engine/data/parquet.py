"""Reads flat rows from Parquet. The library is imported only here, for it takes a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import DataError

MAX_EXPANSION = 200
"""Refuse files that claim to unpack to more than this many times their size (plus 64 MB)."""


def parquet_rows(path: Path, size: int) -> list[dict[str, Any]]:
    """All rows; equal texts are one object. Raises DataError for a damaged file or absurd claims of size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    texts: dict[str, str] = {}
    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            about = file.metadata
            unpacked = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if about.num_rows > size or unpacked > MAX_EXPANSION * size + 64_000_000:
                raise DataError(f"{path.name}: the Parquet file claims more rows or bytes than it can hold.")
            for batch in file.iter_batches(batch_size=512, use_threads=False):
                for row in batch.to_pylist():
                    for name, value in row.items():
                        if isinstance(value, str):
                            row[name] = texts.setdefault(value, value)
                    rows.append(row)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path.name}: not a readable Parquet file: {reason}.") from None
    return rows
