"""How far a long wait is, on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from tui.cli.common import can_move_cursor

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_LINES = 10.0


class Waiting:
    """Shows `done` of `total` with the time left; nothing for what is done at once."""

    def __init__(self, title: str, unit: str) -> None:
        self._title, self._unit = title, unit
        self._began = self._told = time.monotonic()
        self._bar: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar[0].stop()

    def show(self, done: int, total: int) -> None:
        """Take note of how far it is."""
        if not 0 < done < total:
            return
        if can_move_cursor() and sys.stderr.isatty():
            bar, task = self._bar = self._bar or self._make_bar()
            bar.update(task, completed=done, total=total)
            return
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN_LINES:
            from tui.drawing.format import clock

            self._told = now
            left = (now - self._began) * (total - done) / done
            click.echo(f"{self._title}: {done:,} of {total:,} {self._unit}, {clock(left)} left", err=True)

    def _make_bar(self) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        task = bar.add_task(self._title, total=None)
        bar.start()
        return bar, task
