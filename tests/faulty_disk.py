"""A disk that fails or loses power at its N-th operation, and then shows what a power cut would have left."""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
from pathlib import Path

from engine.storage.atomic_io import Operations

FOLDER = -1


class PowerCut(BaseException):
    """The machine is gone: nothing of the program runs any more."""


class FaultyDisk(Operations):
    """Operations on the files below `root`; number `fail_at` (from 1) goes wrong in the way `fault` names.

    DataIssues: `cut` and `cut-half` (the power goes before the operation, or in the middle of a write), an errno
    (the operation fails with it), `half` (a write falls short, the next one says the disk is full).
    """

    def __init__(self, root: Path, fail_at: int = 0, fault: str | int = "cut") -> None:
        self.root, self.fail_at, self.fault = root, fail_at, fault
        self.count = 0
        self.fired = False
        self._full = False
        self._open: list[int] = []
        self._lasting: dict[int, bytes] = {}  # inode -> content that was synced
        self._names: dict[Path, int] = {}  # names that were synced -> inode
        self._pending: dict[Path, list[tuple[Path | None, Path | None, int]]] = {}  # folder -> (gone, come, inode)
        self._gone: dict[int, bytes] = {}  # content of files that have lost their name

    def _happens(self) -> bool:
        """Count an operation; True where it is the one that goes wrong, and the power was not simply cut."""
        self.count += 1
        if self.count != self.fail_at:
            return False
        self.fired = True
        if self.fault == "cut":
            raise PowerCut
        if isinstance(self.fault, int):
            raise OSError(self.fault, os.strerror(self.fault))
        return True

    def _note(self, folder: Path, gone: Path | None, come: Path | None, inode: int) -> None:
        self._pending.setdefault(folder, []).append((gone, come, inode))

    def open(self, path: Path, flags: int) -> int:
        self._happens()
        new = not path.exists()
        fd = super().open(path, flags)
        self._open.append(fd)
        if new:
            inode = os.fstat(fd).st_ino
            self._lasting.pop(inode, None)  # the number of a file that is no more
            self._note(path.parent, None, path, inode)
        return fd

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self._full:
            self._full = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        half = self._happens()
        written = super().write(fd, data[: len(data) // 2] if half else data)
        if half and self.fault == "cut-half":
            raise PowerCut
        self._full = half
        return written

    def fsync(self, fd: int) -> None:
        self._happens()
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            folder = Path(os.readlink(f"/proc/self/fd/{fd}"))
            for change in self._pending.pop(folder, []):
                _apply(self._names, change)
        else:
            self._lasting[status.st_ino] = _content(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._happens()
        super().truncate(fd, size)

    def rename(self, old: Path, new: Path) -> None:
        self._happens()
        self._keep(new)
        inode = old.stat().st_ino
        super().rename(old, new)
        self._note(new.parent, old, new, FOLDER if new.is_dir() else inode)

    def unlink(self, path: Path) -> None:
        self._happens()
        self._keep(path)
        super().unlink(path)
        self._note(path.parent, path, None, 0)

    def mkdir(self, path: Path) -> None:
        self._happens()
        super().mkdir(path)
        self._note(path.parent, None, path, FOLDER)

    def _keep(self, path: Path) -> None:
        if path.is_file():
            self._gone[path.stat().st_ino] = path.read_bytes()

    def close_all(self) -> None:
        """Close what the program had no more chance to close."""
        for fd in self._open:
            try:
                os.close(fd)
            except OSError:
                continue

    def after_power_cut(self, image: Path, luck: str, rng: random.Random) -> Path:
        """Write what is left below `image`: of what was not synced nothing (`luck` "none"), all, or some ("some").

        Changes of names in one folder are lost from some point on, never in the middle, as in a journal; data
        that was not synced may be cut or read as zeros although the file's name and size are there.
        """
        names = dict(self._names)
        for changes in self._pending.values():
            kept = {"none": 0, "all": len(changes), "some": rng.randint(0, len(changes))}[luck]
            for change in changes[:kept]:
                _apply(names, change)
        now = {path.stat().st_ino: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        shutil.rmtree(image, ignore_errors=True)
        image.mkdir()
        for path, inode in sorted(names.items()):
            target = image / path.relative_to(self.root)
            if not target.parent.is_dir():
                continue
            if inode == FOLDER:
                target.mkdir(exist_ok=True)
            else:
                written = now.get(inode, self._gone.get(inode, b""))
                target.write_bytes(_left(self._lasting.get(inode, b""), written, luck, rng))
        return image


def _apply(names: dict[Path, int], change: tuple[Path | None, Path | None, int]) -> None:
    gone, come, inode = change
    if gone is not None:
        for path in [path for path in names if path == gone or gone in path.parents]:
            value = names.pop(path)
            if come is not None and path != gone:
                names[come / path.relative_to(gone)] = value
    if come is not None:
        names[come] = inode


def _left(lasting: bytes, written: bytes, luck: str, rng: random.Random) -> bytes:
    if luck == "none":
        return lasting
    if luck == "all" or not written.startswith(lasting):
        return rng.choice([lasting, written]) if luck == "some" else written
    kept = rng.randint(len(lasting), len(written))
    return written[:kept] + rng.choice([b"", bytes(len(written) - kept)])


def _content(fd: int) -> bytes:
    with open(f"/proc/self/fd/{fd}", "rb") as file:
        return file.read()
