"""Reads flat rows from CSV, TSV and semicolon-separated files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.formats.raw import is_row
from engine.data.formats.utf8 import decode
from engine.errors import DataError

MAX_HEAD = 100_000  # characters of a table's first line
CHECK_HINT = "Expected SQuAD JSON, or rows with the columns context, question and answers (JSON, CSV, Parquet)."


def matches(head: bytes) -> bool:
    """Every file that nothing else matches may be a table, unless its first line is too long for a header."""
    return any(end in head[: 4 * MAX_HEAD] for end in (b"\n", b"\r")) or len(head) < 4 * MAX_HEAD


def values(path: Path, data: bytes) -> list[dict[str, Any]]:
    """All rows. Raises DataError."""
    text = decode(path, data)
    if not text.strip():
        raise DataError(f"{path.name}: the file is empty.", hint=CHECK_HINT)
    return list(table_rows(path, text))


def table_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    """The rows of a table by its header's names. Raises DataError where it has no header or is not well formed."""
    text = text.lstrip("\r\n")
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    delimiter, names = header(path, io.StringIO(text, newline="").readline(MAX_HEAD))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        next(reader)
        for cells in reader:
            if cells:
                row: dict[str, Any] = dict(zip(names, cells, strict=False))
                if len(cells) > len(names):
                    row["extra cells"] = len(cells) - len(names)
                yield row
    except csv.Error as error:
        raise DataError(f"{path.name}, line {reader.line_num}: not a valid table: {error}.") from None


def header(path: Path, line: str) -> tuple[str, list[str]]:
    """The delimiter of a table and the names of its columns, from its first line. Raises DataError where these are not
    the columns of questions."""
    for delimiter in ",\t;":
        cells = next(csv.reader([line.strip("\r\n")], delimiter=delimiter), [])
        names = [name.strip().lower().replace(" ", "_") for name in cells]
        if is_row(dict.fromkeys(names, "")):
            return delimiter, names
    raise DataError(f"{path.name}: neither JSON nor a table with the columns context and question.", hint=CHECK_HINT)
