"""The end of a run's engine.log, followed while it grows, in bounded memory. Its text comes from outside."""

from __future__ import annotations

import os
from pathlib import Path

from engine.storage.safe_open import open_regular, read_at

READ_AT_ONCE = 1 << 20
"""Bytes from the end of a log that are read at first; a log that grows by more between two looks is cut as well."""
MAX_LINES = 5000
MAX_LINE = 1000
"""Characters of a line; the rest is left out."""
MAX_UNENDED = 1 << 16
"""Bytes after which a line without an end counts as one."""


class LogTail:
    """The last lines of a text file that only grows. `lines[0]` has the number `first`; numbers never change while
    the file is the same one. `left_out` says whether there is more before."""

    def __init__(self, path: Path, *, max_lines: int = MAX_LINES) -> None:
        """Touches nothing."""
        self._path, self._max = path, max_lines
        self._begin((0, 0))

    def _begin(self, identity: tuple[int, int]) -> None:
        """Know nothing yet of the file with this device and number."""
        self._identity = identity
        self._offset = 0
        self._ended: tuple[str, ...] = ()
        self._unended = b""
        self.lines: tuple[str, ...] = ()
        self.first = 0
        self.left_out = False

    def poll(self) -> bool:
        """Read what is new; whether anything is. A file that is not there (yet) has no lines. Reads a file: not for
        an event loop."""
        try:
            fd = open_regular(self._path)
        except OSError:
            return False
        try:
            status = os.fstat(fd)
            identity = (status.st_dev, status.st_ino)
            if identity != self._identity or status.st_size < self._offset:
                self._begin(identity)
            if status.st_size == self._offset:
                return False
            skipped = status.st_size - self._offset > READ_AT_ONCE
            if skipped:
                self._offset = status.st_size - READ_AT_ONCE
            data = read_at(fd, READ_AT_ONCE, self._offset)
        except OSError:
            return False
        finally:
            os.close(fd)
        self._offset += len(data)
        if skipped:
            self._unended, self.left_out = b"", True
            data = data.partition(b"\n")[2]
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        *ended, rest = (self._unended + data).split(b"\n")
        if len(rest) > MAX_UNENDED:
            ended, rest = [*ended, rest], b""
        self._unended = rest
        lines = (*self._ended, *(_text(line) for line in ended))
        surplus = max(0, len(lines) - self._max)
        self._ended, self.first = lines[surplus:], self.first + surplus
        self.left_out = self.left_out or surplus > 0
        self.lines = (*self._ended, _text(rest)) if rest else self._ended


def _text(line: bytes) -> str:
    """A line as a terminal would leave it: of progress bars, which go back to its start, the last state."""
    text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - 1] + "…"
