"""A data file from disk as plain Python values, told by its content and not by its ending."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import DataError

COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
MAX_HEAD = 100_000  # characters of a table's first line
CHECK_HINT = "Expected SQuAD JSON, or rows with the columns context, question and answers (JSON, CSV, Parquet)."


def read_values(path: Path) -> Any:
    """The file's content: a JSON value, or for JSON lines, CSV, TSV and Parquet a list of rows (dicts).

    Raises DataError for a file that is missing, unreadable, empty, compressed, not UTF-8 or not well formed.
    """
    data = read_bytes(path)
    for magic, kind in COMPRESSED.items():
        if data.startswith(magic):
            raise DataError(f"{path.name}: the file is compressed ({kind}).", hint="Unpack it first.")
    if data.startswith(b"PAR1"):
        from engine.data.formats.parquet import parquet_rows

        return parquet_rows(path, len(data))
    data = data.removeprefix(b"\xef\xbb\xbf")
    text = _decode(path, data)
    first = text.lstrip()[:1]
    if not first:
        raise DataError(f"{path.name}: the file is empty.", hint=CHECK_HINT)
    if first in "{[":
        return _json(path, data, text)
    return list(_table(path, text))


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file; DataError where it is missing, a folder, a device or unreadable."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise DataError(f"{path}: this is a folder, not a data set.", hint="Name a file in it.")
        if not stat.S_ISREG(mode):
            raise DataError(f"{path}: this is not a regular file.", hint="Save the data in a file first.")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.", hint=_samples_hint()) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path}: can't be read: {reason}.") from None


def _samples_hint() -> str:
    from engine.data.samples import sample_names

    names = sample_names()
    return f"Sample data sets: {', '.join(names)}." if names else ""


def _decode(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        kind = "looks like UTF-16, not UTF-8" if wide else f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise DataError(f"{path.name}, line {line}, column {column}: {kind}.", hint="Save the file as UTF-8.") from None


def _json(path: Path, data: bytes, text: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError):
        pass  # the standard parser takes NaN as well, and tells line and column
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        fault = error
    except RecursionError:
        raise DataError(f"{path.name}: the JSON is nested too deeply.", hint=CHECK_HINT) from None
    except ValueError as error:
        raise DataError(f"{path.name}: a number can't be read: {error}.") from None
    if fault.msg == "Extra data":
        return list(_json_lines(path, text))
    cut = " The file seems to be cut off." if fault.pos >= len(text.rstrip()) - 1 else ""
    raise DataError(
        f"{path.name}, line {fault.lineno}, column {fault.colno}: not valid JSON: {fault.msg[:1].lower()}"
        f"{fault.msg[1:]}.{cut}"
    )


def _json_lines(path: Path, text: str) -> Iterator[Any]:
    start = number = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        line = text[start:end].strip()
        start = end + 1
        if not line:
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path.name}, line {number}, column {error.colno}: not valid JSON: "
                f"{error.msg[:1].lower()}{error.msg[1:]}."
            ) from None
        except RecursionError:
            raise DataError(f"{path.name}, line {number}: the JSON is nested too deeply.") from None
        except ValueError as error:
            raise DataError(f"{path.name}, line {number}: a number can't be read: {error}.") from None


def _table(path: Path, text: str) -> Iterator[dict[str, Any]]:
    from engine.data.formats.shapes import is_row

    text = text.lstrip("\r\n")
    head = io.StringIO(text, newline="").readline(MAX_HEAD).strip("\r\n")
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    for delimiter in ",\t;":
        names = [name.strip().lower().replace(" ", "_") for name in next(csv.reader([head], delimiter=delimiter), [])]
        if is_row(dict.fromkeys(names, "")):
            break
    else:
        raise DataError(
            f"{path.name}: neither JSON nor a table with the columns context and question.", hint=CHECK_HINT
        )
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
