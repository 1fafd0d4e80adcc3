"""The only module that writes what must last: append a record, replace a file, fsync a folder.

A file that was replaced is whole under its old or its new content, never torn; a record that was appended
is whole or absent. Every system call goes through `operations`, so that a test can make the N-th one fail.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from engine.errors import WriteError

NO_FOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


class Operations:
    """The system calls by which data reaches the disk."""

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | NO_FOLLOW, PRIVATE_FILE)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def mkdir(self, path: Path) -> None:
        os.mkdir(path, PRIVATE_FOLDER)


operations = Operations()


@contextmanager
def raises_write_error(path: Path) -> Iterator[None]:
    """Turn an OSError about `path` into a WriteError that says what to do."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "The disk is full: make room, then resume the run.",
            errno.EDQUOT: "Your quota is used up: make room, then resume the run.",
            errno.EFBIG: "The file size limit is reached (ulimit -f).",
            errno.EROFS: "The file system is read-only.",
            errno.EACCES: "You may not write there.",
            errno.ENOENT: "The folder is gone.",
            errno.EPERM: "The folder is not yours.",
            errno.ENOTDIR: "There is a file where a folder belongs.",
            errno.ELOOP: "There is a symbolic link where a file of the run belongs; it is not followed.",
        }
        number = error.errno or 0
        raise WriteError(f"{path}: cannot write: {os.strerror(number)}.", hint=hints.get(number, "")) from error


def is_full(error: WriteError) -> bool:
    """Whether the write failed for want of room (disk or quota)."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write the whole of `data`; raises OSError."""
    view = memoryview(data)
    while view:
        view = view[operations.write(fd, view) :]


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` last; raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        operations.fsync(fd)
    except OSError as error:
        # Some network file systems cannot sync a folder; there the rename itself is the promise.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Make the content of a file that another library wrote last; raises OSError."""
    fd = os.open(path, os.O_RDONLY | NO_FOLLOW)
    try:
        operations.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, chunks: bytes | Iterable[bytes | memoryview], *, sync: bool = True) -> None:
    """Put `chunks` under `path`, whole or not at all, and make it last. Raises WriteError.

    Written to a temporary name in the same folder, synced, renamed; then the folder is synced. Without `sync` a
    reader still sees the old or the new content, but a power cut may leave neither.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with raises_write_error(path):
        try:
            fd = operations.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
                    write_all(fd, chunk)
                if sync:
                    operations.fsync(fd)
            finally:
                os.close(fd)
            operations.rename(temporary, path)
            if sync:
                sync_folder(path.parent)
        except OSError:
            with suppress(OSError):
                operations.unlink(temporary)
            raise


def create_file(path: Path, data: bytes) -> None:
    """Like `replace_file`, but raises WriteError where `path` exists: nothing of the user's is overwritten."""
    if path.exists() or path.is_symlink():
        raise WriteError(f"{path}: exists already.", hint="Choose another name; nothing is overwritten.")
    replace_file(path, data)


@contextmanager
def create_stream(path: Path) -> Iterator[IO[bytes]]:
    """Write the new file `path` piece by piece: it is there, whole and lasting, once the block ends, and not at all
    where the block raises. Raises WriteError where `path` exists or can't be written."""
    if os.path.lexists(path):
        raise WriteError(f"{path}: exists already.", hint="Choose another name; nothing is overwritten.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with raises_write_error(path):
        try:
            fd = operations.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(fd, "wb") as file:
                yield file
                file.flush()
                operations.fsync(fd)
            if os.path.lexists(path):
                raise WriteError(f"{path}: exists by now.", hint="Choose another name; nothing is overwritten.")
            operations.rename(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                operations.unlink(temporary)
            raise


def make_folder(path: Path) -> None:
    """Create `path` (0700) with its parents, and make its name last. Raises WriteError.

    A folder that is there already is kept as it is; a file or a symbolic link in its place is refused.
    """
    with raises_write_error(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            with suppress(FileExistsError):
                operations.mkdir(folder)
                sync_folder(folder.parent)
        check_own_folder(path)


def check_own_folder(path: Path) -> None:
    """Raise OSError unless `path` itself is a folder (no symbolic link) of this user."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if status.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "the folder belongs to someone else", str(path))


def remove_file(path: Path) -> None:
    """Remove a file if it is there. Raises WriteError."""
    with raises_write_error(path), suppress(FileNotFoundError):
        operations.unlink(path)


def remove_folder(path: Path) -> None:
    """Remove a folder and all in it, if it is there; its name goes first, so that it is never seen in part. Symbolic
    links in it are removed, and what they point to is not. Raises WriteError."""
    if path.is_dir() and not path.is_symlink():
        empty_out(set_aside(path))


def set_aside(path: Path) -> Path:
    """Give a folder that is to be removed a hidden name, which is returned. Raises WriteError."""
    with raises_write_error(path):
        doomed = path.with_name(f".{path.name}.{os.getpid()}.old")
        operations.rename(path, doomed)
        sync_folder(path.parent)
    return doomed


def empty_out(folder: Path) -> None:
    """Remove a folder and all in it, file by file. Raises WriteError."""
    with raises_write_error(folder):
        for root, folders, files in os.walk(folder, topdown=False):
            for name in files:
                operations.unlink(Path(root, name))
            for name in folders:
                inner = Path(root, name)
                operations.unlink(inner) if inner.is_symlink() else os.rmdir(inner)
        os.rmdir(folder)


class AppendFile:
    """A file that only grows, one whole record at a time.

    `append` writes a record with a single `write`; where that falls short and the rest can't follow (full disk) the
    file is cut back to the last whole record, so that a reader never sees half a record followed by another.
    """

    def __init__(self, path: Path) -> None:
        """Open or create `path`. A torn tail of an earlier writer is sealed with a newline. Raises WriteError."""
        self.path = path
        with raises_write_error(path):
            self._fd = operations.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            try:
                status = os.fstat(self._fd)
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                self._size = status.st_size
                self._torn = False
                if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
                    self._add(b"\n")
                # The file's name must last before a record in it counts as saved.
                sync_folder(path.parent)
            except OSError:
                os.close(self._fd)
                raise

    def append(self, record: bytes, *, sync: bool = False) -> None:
        """Add one record, ending in a newline; with `sync` it is on the disk when this returns.

        Raises WriteError, and then nothing of the record is in the file.
        """
        with raises_write_error(self.path):
            self._add(record)
            if sync:
                try:
                    operations.fsync(self._fd)
                except OSError:
                    self._cut_back(self._size - len(record))
                    raise

    def _add(self, record: bytes) -> None:
        """Write `record` and count it, or raise OSError and leave the file as it was."""
        if self._torn:  # what could not be cut back earlier must go before anything follows it
            operations.truncate(self._fd, self._size)
            self._torn = False
        try:
            written = operations.write(self._fd, record)
            while written < len(record):  # the next write says what is wrong
                written += operations.write(self._fd, record[written:])
        except OSError:
            self._cut_back(self._size)
            raise
        self._size += written

    def _cut_back(self, size: int) -> None:
        self._size = size
        try:
            operations.truncate(self._fd, size)
        except OSError:
            self._torn = True

    def sync(self) -> None:
        """Make all records last. Raises WriteError."""
        with raises_write_error(self.path):
            operations.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)
