"""Reads flat rows from CSV, TSV and semicolon-separated files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from engine.data.formats.columns import plain_name
from engine.data.formats.raw import is_row
from engine.data.formats.utf8 import decode
from engine.errors import DataError

MAX_HEAD = 100_000  # characters of a table's first line
SEPARATORS = ",\t;|"
SAMPLE, SAMPLE_SIZE = 20, 4_000_000
"""So many records, in so many characters, decide which character separates the cells."""
CHECK_HINT = (
    "What is read: SQuAD JSON, exports of annotation tools, and rows with a context, a question and answers (JSON, "
    "CSV, Parquet); other names of columns: --columns context=NAME,question=NAME,answer=NAME."
)


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
    """The rows of a table by its header's names; blank rows, and cells under no name, are left out. Raises DataError
    where it has no header or is not well formed."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    start, delimiter, names = header(path, text)
    kept = [number for number, name in enumerate(names) if name]
    reader = csv.reader(io.StringIO(text[start:], newline=""), delimiter=delimiter)
    try:
        next(reader)
        for cells in reader:
            if is_blank(cells):
                continue
            row: dict[str, Any] = {names[number]: cells[number] for number in kept if number < len(cells)}
            if more := sum(bool(cell.strip()) for cell in cells[len(names) :]):
                row["extra cells"] = more
            yield row
    except csv.Error as error:
        raise DataError(f"{path.name}, line {reader.line_num}: not a valid table: {error}.") from None


def is_blank(cells: Sequence[str]) -> bool:
    """Whether a record of a table holds nothing."""
    return not any(map(str.strip, cells))


def header(path: Path, text: str) -> tuple[int, str, list[str]]:
    """Where the header begins, the character between cells, and the plain names of the columns.

    Of the separators whose header has known names the first is taken, else the one that cuts rows into the most
    columns. A spreadsheet's first line `sep=;` declares it. Raises DataError where there is no such header.
    """
    start = len(text) - len(text.lstrip("\r\n"))
    declared = re.match(r"sep=([^\r\n])[\r\n]+", text[start : start + 16], re.IGNORECASE)
    start += declared.end() if declared else 0
    best: tuple[int, str, list[str]] = (1, "", [])
    for delimiter in declared[1] if declared else SEPARATORS:
        records = _first_records(text[start : start + SAMPLE_SIZE], delimiter)
        names = [plain_name(name) for name in records[0]] if records and sum(map(len, records[0])) <= MAX_HEAD else []
        if is_row(dict.fromkeys(names, "")):
            best = (len(names), delimiter, names)
            break
        even = len(records) > 1 and all(len(record) <= len(names) for record in records[1:])
        if even and len(records[1]) == len(names) > best[0]:
            best = (len(names), delimiter, names)
    _, delimiter, names = best
    if not delimiter:
        raise DataError(f"{path.name}: neither JSON nor a table with columns.", hint=CHECK_HINT)
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path.name}: two columns are named {twice[:40]!r}.", hint="Rename one of them.")
    return start, delimiter, names


def _first_records(text: str, delimiter: str) -> list[list[str]]:
    try:
        return list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), SAMPLE))
    except csv.Error:
        return []
