"""How much of the disk each run takes, measured now and then: walking through a folder on a network disk takes time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.rundir.layout import RunDir
from engine.rundir.removal import disk_use

AGAIN_SECONDS = 10.0
"""A folder that changes all the time is measured no more often."""

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class _Measured:
    stamp: Stamp
    size: int
    at: float


class DiskUse:
    """Bytes on the disk by run. `measure` reads folders: not for the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Measured] = {}

    def size(self, path: str) -> int | None:
        """Bytes of the run at `path`; None where it was not measured yet."""
        known = self._known.get(path)
        return known.size if known is not None else None

    def total(self, paths: Iterable[str]) -> int | None:
        """Bytes of these runs together; None as long as one was not measured."""
        sizes = [self.size(path) for path in paths]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def measure(self, paths: Iterable[str]) -> bool:
        """Measure the runs that are new or have changed; whether any was. Forgets all others."""
        wanted, measured = list(paths), False
        self._known = {path: self._known[path] for path in wanted if path in self._known}
        for path in wanted:
            known, now = self._known.get(path), self._clock()
            if known is not None and now - known.at < AGAIN_SECONDS:
                continue
            stamp = _stamp(RunDir(Path(path)))
            if known is None or known.stamp != stamp:
                self._known[path] = _Measured(stamp, disk_use(Path(path)), now)
                measured = True
        return measured


def _stamp(run: RunDir) -> Stamp:
    """What differs once something large was written or removed: its folders, and the log, change with it."""
    stamp = []
    folders = (run.path, run.snapshots, run.train_snapshots, run.checkpoints, run.verdicts, run.folds)
    for path in (*folders, run.events_file):
        try:
            stamp.append(path.stat().st_mtime_ns)
        except OSError:
            stamp.append(0)
    return tuple(stamp)
