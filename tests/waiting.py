"""Waiting, counting and clocks for tests: what happens decides, never how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType

LOOK_SECONDS = 0.01
LOOKS = 12_000


def until(condition: Callable[[], object], what: str = "what a test needs", *, looks: int = LOOKS) -> None:
    """Look again and again until `condition` holds. Raises AssertionError where it has not after so many looks."""
    for _ in range(looks):
        if condition():
            return
        time.sleep(LOOK_SECONDS)
    raise AssertionError(f"waited in vain for {what}")


class Clock:
    """Stands for the module `time` of what reads the time and sleeps: it goes on when told to, and by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asleep: Callable[[], object] = lambda: None
        """Called whenever somebody sleeps: what others do meanwhile."""

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.asleep()


def calls_of(work: Callable[[], object]) -> int:
    """How many calls of functions `work` makes, in Python and from Python into C: a measure of its time that is the
    same on every machine."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count
