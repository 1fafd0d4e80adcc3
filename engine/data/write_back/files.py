"""Writes a data file again after some of its objects were changed in place or dropped; the rest stays as it was."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Set
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.data.formats import json_text, parquet, table
from engine.data.formats.source import container_of
from engine.data.formats.utf8 import BYTE_ORDER_MARK, decode
from engine.data.write_back.labels import NotWritable

Marks = Set[int]
"""Objects of a file by `id()`."""


class DataFile:
    """The content of a data file as plain values that may be changed, and how to write it again."""

    def __init__(self, path: Path, data: bytes) -> None:
        """`data` is the file's content, unpacked. Raises DataError."""
        self._path, self._data = path, data
        container = container_of(path, data)
        self._container = container if isinstance(container, ModuleType) else table
        self.values: Any = container.values(path, data)
        self._lines = self._container is json_text and not _is_one_value(data)

    @property
    def kind(self) -> str:
        """What the file is, in words."""
        return {parquet: "Parquet", table: "a table", json_text: "JSON lines" if self._lines else "JSON"}[
            self._container
        ]

    def written(self, changed: Marks, dropped: Marks) -> bytes:
        """The file after the objects `changed` were changed in `values`, without those `dropped`. Lines of JSON lines
        and tables that hold none of them are the same bytes. Raises NotWritable."""
        if self._container is parquet:
            return _parquet(self._data, _without(self.values, dropped))
        mark = BYTE_ORDER_MARK if self._data.startswith(BYTE_ORDER_MARK) else b""
        text = decode(self._path, self._data)
        if self._container is table:
            return mark + _table(self._path, text, self.values, changed, dropped).encode()
        if self._lines:
            return mark + _json_lines(text, self.values, changed, dropped).encode()
        return mark + _json(text, _without(self.values, dropped)).encode()


def _is_one_value(data: bytes) -> bool:
    try:
        json.loads(data.removeprefix(BYTE_ORDER_MARK))
    except ValueError:
        return False
    return True


def _without(values: Any, dropped: Marks) -> Any:
    """The values without the objects that are dropped."""
    if isinstance(values, dict):
        return {name: _without(value, dropped) for name, value in values.items()}
    if isinstance(values, list):
        return [_without(value, dropped) for value in values if id(value) not in dropped]
    return values


def _json(text: str, values: Any) -> str:
    """The values, laid out as `text` is: indentation, separators, and whether letters beyond ASCII are escaped."""
    found = re.match(r"\s*[\[{]\r?\n([ \t]+)", text)
    end = text[len(text.rstrip()) :]
    return json.dumps(values, indent=found[1] if found else None, **_style(text, indented=bool(found))) + end


def _style(text: str, *, indented: bool) -> dict[str, Any]:
    first_key = re.search(r'"\s*:(\s?)', text)
    space = first_key[1] if first_key else " "
    return {
        "ensure_ascii": text.isascii() and "\\u" in text,
        "separators": ("," if indented else "," + space, ":" + space),
    }


def _json_lines(text: str, values: list[Any], changed: Marks, dropped: Marks) -> str:
    remaining = iter(values)
    written = []
    for line in re.findall(r"[^\n]*\n|[^\n]+\Z", text):
        if line.strip():
            value = next(remaining)
            if id(value) in dropped:
                continue
            inner = {id(child) for child in _objects(value)}
            if inner & changed or inner & dropped:
                line = _json(line, _without(value, dropped))
        written.append(line)
    return "".join(written)


def _objects(value: Any) -> list[Any]:
    """A value and all objects in it."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(found for child in children if isinstance(child, (dict, list)) for found in _objects(child))]


def _table(path: Path, text: str, rows: list[dict[str, Any]], changed: Marks, dropped: Marks) -> str:
    """Records of a table, each with the lines that it takes up; a changed one is written again, with the delimiter and
    the line end of the file."""
    start, delimiter, names = table.header(path, text)
    lead, lines = text[:start], list(io.StringIO(text[start:], newline=""))
    reader = csv.reader(iter(lines), delimiter=delimiter)
    before = list(table.table_rows(path, text))
    next(reader)
    ends, records = [reader.line_num], []
    for cells in reader:
        ends.append(reader.line_num)
        records.append(cells)
    written, number = [lead, *lines[: ends[0]]], -1
    for cells, (first, last) in zip(records, pairwise(ends), strict=True):
        filled = not table.is_blank(cells)
        number += filled
        if filled and id(rows[number]) in dropped:
            continue
        if filled and id(rows[number]) in changed:
            written.append(_record(cells, names, before[number], rows[number], delimiter, lines[last - 1]))
        else:
            written += lines[first:last]
    return "".join(written)


def _record(
    cells: list[str], names: list[str], before: dict[str, Any], now: dict[str, Any], delimiter: str, line: str
) -> str:
    if lacking := [name for name in now if name not in before and name not in names]:
        raise NotWritable(f'the table has no column "{lacking[0]}"')
    cells = cells + [""] * (len(names) - len(cells))
    for place, name in enumerate(names):
        if now.get(name) != before.get(name):
            cells[place] = str(now[name])
    end = line[len(line.rstrip("\r\n")) :]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerow(cells)
    return out.getvalue()


def _parquet(data: bytes, rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(pa.BufferReader(data))
    out = io.BytesIO()
    try:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), out)
    except pa.ArrowException as error:
        raise NotWritable(f"its columns can't hold the change ({str(error).splitlines()[0]})") from None
    return out.getvalue()
