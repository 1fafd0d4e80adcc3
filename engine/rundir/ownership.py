"""Who runs a run: one engine at a time, and a heartbeat that shows other hosts that it is alive."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

import msgspec

from engine.errors import UsageError, UserError, WriteError
from engine.rundir.commands import clear_commands
from engine.rundir.layout import RunDir
from engine.rundir.liveness import HEARTBEAT_SECONDS, beats, has_ended, is_live
from engine.rundir.process import Owner, is_alive_here, is_this_host, read_owner
from engine.storage.atomic_io import check_own_folder, operations, raises_write_error, replace_file

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
LOCK_SECONDS, LOCK_TRIES = 2.0, 20
"""How long, and how often meanwhile, the lock of an engine that has ended is tried."""


@contextmanager
def without_engine(run: RunDir) -> Iterator[None]:
    """Keep every engine out of a run while the block changes it. Raises UsageError where one is at work, WriteError.

    Where the last engine was on another host and did not end the run, this waits for proof of its death.
    """
    with raises_write_error(run.lock_file):
        fd = operations.open(run.lock_file, os.O_RDWR | os.O_CREAT)
    try:
        if is_live(run) or not _comes_free(run, fd):
            raise UsageError(f"{run.path}: an engine is at work on this run.", hint="Stop it first: bertqa-tui stop.")
        yield
    finally:
        os.close(fd)


def _comes_free(run: RunDir, fd: int) -> bool:
    """Whether the lock can be taken: the threads of an engine that was just killed hold it a moment longer."""
    for _ in range(LOCK_TRIES):
        if _locked(run, fd):
            return not is_live(run)
        time.sleep(LOCK_SECONDS / LOCK_TRIES)
    return False


def _locked(run: RunDir, fd: int) -> bool:
    """Whether the lock could be taken, or the file system has none."""
    with raises_write_error(run.lock_file):
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
    return True


def _is_ours(owner: Owner) -> bool:
    """Whether whoever launched this process named it: itself or, where there are many ranks, torchrun's."""
    return is_this_host(owner) and owner.pid in (os.getpid(), os.getppid())


class Ownership:
    """Held by the engine of a run from its first to its last write."""

    def __init__(self, run: RunDir) -> None:
        """Take the run over. Raises UsageError when another engine has it, WriteError when it can't be written.

        Where the last owner was on another host and did not end the run, this waits for proof of its death.
        """
        self._run = run
        self._owner = Owner.of(os.getpid())
        for folder in (run.path, run.snapshots, run.checkpoints, run.commands):
            with raises_write_error(folder):
                check_own_folder(folder)
        with raises_write_error(run.lock_file):
            self._fd = operations.open(run.lock_file, os.O_RDWR | os.O_CREAT)
        try:
            locked = self._lock()
            other = read_owner(run)
            if other is not None and self._is_at_work(other, locked):
                raise UsageError(
                    f"{run.path}: an engine on {other.host} (process {other.pid}) is at work on this run.",
                    hint="Watch it: bertqa-tui attach. Or stop it first.",
                )
            if other is not None and not _is_ours(other):
                # Nobody has started this engine but torchrun or srun: what was asked of the last one is not for it.
                clear_commands(run)
            replace_file(run.owner_file, msgspec.json.encode(self._owner))
        except UserError:
            os.close(self._fd)
            raise
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def _lock(self) -> bool:
        """Take the lock; False where the file system has none."""
        with raises_write_error(self._run.lock_file):
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except (BlockingIOError, PermissionError):
                raise UsageError(
                    f"{self._run.path}: another engine is at work on this run.", hint="Watch it: bertqa-tui attach."
                ) from None
            except OSError as error:
                if error.errno in NO_LOCKS:
                    return False
                raise

    def _is_at_work(self, other: Owner, locked: bool) -> bool:
        """Whether the owner named last may still write: locks may not cross hosts, or not exist at all."""
        if is_this_host(other):
            return not locked and not _is_ours(other) and is_alive_here(other)
        return not has_ended(self._run) and beats(self._run, other)

    def _beat(self) -> None:
        count = 0
        while True:
            count += 1
            with suppress(WriteError):  # the reader's clock notices a missed beat; training goes on
                replace_file(self._run.heartbeat_file, b"%d\n" % count, sync=False)
                # A launcher whose engine was refused has put its own engine's name here.
                if read_owner(self._run) != self._owner:
                    replace_file(self._run.owner_file, msgspec.json.encode(self._owner), sync=False)
            if self._stop.wait(HEARTBEAT_SECONDS):
                return

    def release(self) -> None:
        """Give the run back."""
        self._stop.set()
        self._thread.join()
        os.close(self._fd)

    def __enter__(self) -> Ownership:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
