"""Decodes a data file's text."""

from __future__ import annotations

import shlex
from pathlib import Path

from engine.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode(path: Path, data: bytes) -> str:
    """The text of a file, without a byte order mark. Raises DataError with line and column where it is not UTF-8."""
    data = data.removeprefix(BYTE_ORDER_MARK)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        kind = "looks like UTF-16, not UTF-8" if wide else f"byte 0x{data[error.start]:02x} is not UTF-8"
        encoding = "UTF-16" if wide else "WINDOWS-1252"
        raise DataError(
            f"{path.name}, line {line}, column {column}: {kind}.",
            hint='Save it as UTF-8 (spreadsheets: "CSV UTF-8"), or convert it: '
            f"iconv -f {encoding} -t UTF-8 {shlex.quote(path.name)} > utf8{shlex.quote(path.suffix)}",
        ) from None
