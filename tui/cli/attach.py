"""`attach`: watch a run."""

from __future__ import annotations

from typing import Any

import click

from tui.cli.command_line import RunName
from tui.cli.common import RUNS_DIR, SCREEN, command, find_run, show_run


@command(click.Argument(["run"], metavar="[RUN]", required=False, type=RunName()), *SCREEN, RUNS_DIR)
def attach(run: str | None, runs_dir: str | None, **screen: Any) -> int:
    """Watch a run, live or finished; the newest when none is named."""
    return show_run(find_run(run, runs_dir), runs_dir=runs_dir, **screen)
