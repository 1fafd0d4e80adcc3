"""`serve`: the app in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from engine.errors import ExitCode, UsageError
from tui.cli.command_line import RunName
from tui.cli.common import RUNS_DIR, THEME, command, find_run, runs_folder
from tui.options import GroupedOption


@command(
    click.Argument(["run"], metavar="[RUN]", required=False, type=RunName()),
    GroupedOption(
        ["--control"],
        "access",
        is_flag=True,
        help="visitors may pause, stop, start, judge and ask (default: look only)",
    ),
    GroupedOption(
        ["--port"],
        "access",
        type=click.IntRange(0, 65535),
        default=8000,
        help="port; 0 takes any free one (default: 8000)",
    ),
    GroupedOption(
        ["--host"], "access", metavar="ADDRESS", help="address to listen on, with --token (default: 127.0.0.1)"
    ),
    GroupedOption(["--token"], "access", metavar="SECRET", help="what the address must hold (default: a random one)"),
    THEME,
    RUNS_DIR,
)
def serve(
    run: str | None,
    control: bool,
    port: int,
    host: str | None,
    token: str | None,
    theme: str | None,
    runs_dir: str | None,
) -> int:
    """Show the app in a browser on this machine, to look only unless --control is given."""
    if find_spec("textual_serve") is None:
        raise UsageError("serve needs textual-serve.", hint="pip install 'bertqa-tui[web]' brings it.")
    from tui.web.access import access_of
    from tui.web.server import TokenServer

    access = access_of(host, token)
    path = find_run(run, runs_dir) if run is not None else None
    # Those that visitors see anyway when they look at all runs; a run's own folder else.
    folder = runs_folder(runs_dir) if path is None or runs_dir is not None else path.resolve().parent
    arguments = ["--runs-dir", str(Path(folder).resolve())]
    arguments += ["--run", str(path.resolve())] if path is not None else []
    arguments += ["--theme", theme] if theme is not None else []
    arguments += ["--control"] if control else []
    TokenServer(arguments, access, port).serve()
    return int(ExitCode.OK)
