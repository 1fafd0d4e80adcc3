"""Opens files of a run for reading: no symbolic links, no pipes or devices, no more bytes than expected."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def open_regular(path: Path) -> int:
    """A descriptor of the regular file `path`, for reading. Raises OSError for anything else, never waits.

    The last part of `path` is not followed where it is a symbolic link (ELOOP).
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return fd


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes from `offset`; fewer only where the file ends. Raises OSError."""
    data = os.pread(fd, size, offset)
    if len(data) == size or not data:
        return data
    parts = [data]
    got = len(data)
    while got < size and (data := os.pread(fd, size - got, offset + got)):
        parts.append(data)
        got += len(data)
    return b"".join(parts)


def read_small(path: Path, limit: int) -> bytes:
    """All of a file that is no larger than `limit` bytes. Raises OSError, EFBIG for a larger one."""
    fd = open_regular(path)
    try:
        data = read_at(fd, limit + 1, 0)
    finally:
        os.close(fd)
    if len(data) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data
