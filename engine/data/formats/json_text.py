"""Reads JSON, and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.data.formats.table import CHECK_HINT
from engine.data.formats.utf8 import BYTE_ORDER_MARK, decode
from engine.errors import DataError


def matches(head: bytes) -> bool:
    """Whether a file that begins with `head` is JSON."""
    return head.removeprefix(BYTE_ORDER_MARK).lstrip()[:1] in (b"{", b"[")


def values(path: Path, data: bytes) -> Any:
    """The file's JSON value, or a list of those of its lines. Raises DataError, with line and column."""
    return _json(path, data.removeprefix(BYTE_ORDER_MARK), decode(path, data))


def _json(path: Path, data: bytes, text: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError):
        pass  # the standard parser takes NaN as well, and reports line and column
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        issue = error
    except RecursionError:
        raise DataError(f"{path.name}: the JSON is nested too deeply.", hint=CHECK_HINT) from None
    except ValueError as error:
        raise DataError(f"{path.name}: a number can't be read: {error}.") from None
    if issue.msg == "Extra data":
        return list(_json_lines(path, text))
    cut = " The file seems to be cut off." if issue.pos >= len(text.rstrip()) - 1 else ""
    raise DataError(
        f"{path.name}, line {issue.lineno}, column {issue.colno}: not valid JSON: {issue.msg[:1].lower()}"
        f"{issue.msg[1:]}.{cut}"
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
