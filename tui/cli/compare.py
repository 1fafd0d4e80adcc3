"""`compare`: several runs side by side."""

from __future__ import annotations

from typing import Any

import click

from engine.errors import ExitCode, UsageError
from tui.cli.command_line import RunName
from tui.cli.common import RUNS_DIR, SCREEN, can_draw, command, runs_called, show_run
from tui.options import GroupedOption


@command(
    click.Argument(["runs"], metavar="RUN RUN…", nargs=-1, required=True, type=RunName()),
    GroupedOption(["--json", "as_json"], "output", is_flag=True, help="one JSON object, for scripts"),
    *SCREEN,
    RUNS_DIR,
)
def compare(runs: tuple[str, ...], as_json: bool, runs_dir: str | None, **screen: Any) -> int:
    """Curves of several runs or of a sweep, EM and F1 by setting, and whether seeds alone explain a difference."""
    from engine.rundir.layout import RunDir
    from tui.cli.comparison import print_comparison

    paths = list(dict.fromkeys(path for name in runs for path in runs_called(name, runs_dir)))
    if len(paths) < 2:
        raise UsageError(
            "compare takes two runs or more, or the name of a sweep.", hint="`bertqa-tui runs` lists them."
        )
    if not as_json and can_draw(plain=screen["plain"]):
        show_run(paths[0], runs_dir=runs_dir, marked=[path.absolute() for path in paths], **screen)
    print_comparison([RunDir(path) for path in paths], as_json=as_json)
    return int(ExitCode.OK)
