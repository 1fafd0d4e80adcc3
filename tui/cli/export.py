"""`export`: write what a run learned for use elsewhere; the target's ending or an option says what."""

from __future__ import annotations

from pathlib import Path

import click

from engine.errors import ExitCode, UsageError
from tui.cli.common import RUN, RUNS_DIR, command, find_run
from tui.options import GroupedOption


@command(
    RUN,
    GroupedOption(
        ["-o", "--output"],
        "output",
        metavar="PATH",
        type=click.Path(),
        help="where to write; its ending says what: none, a folder that transformers loads; .html, a report for any "
        "browser; .parquet, .csv or .json, a table of all examples and snapshots (never overwrites)",
    ),
    GroupedOption(
        ["--snapshot"], "output", metavar="N|best|last", help="whose weights: a snapshot's number, best (F1) or last"
    ),
    GroupedOption(["--tokens"], "output", is_flag=True, help="tables: a row for each token with its scores"),
    GroupedOption(["--passages"], "output", is_flag=True, help="tables: the text of the passage in every row"),
    RUNS_DIR,
)
def export(
    run: str, output: str | None, snapshot: str | None, tokens: bool, passages: bool, runs_dir: str | None
) -> int:
    """Write what a run learned: a report for any browser, a table of all answers, the model for transformers."""
    from engine.export.kinds import Request, write_export
    from engine.rundir.layout import RunDir
    from tui.drawing.text import plain

    directory = RunDir(find_run(run, runs_dir))
    if output is None:
        raise UsageError("nothing to export.", hint="Say where to write it: -o PATH.")
    request = Request(
        directory,
        Path(output),
        snapshot=snapshot,
        tokens=tokens,
        passages=passages,
        tell=lambda line: click.echo(plain(line)),
    )
    done = write_export(request)
    for file, size in done.files:
        click.echo(f"wrote {plain(str(file))} ({size:,} bytes)")
    for note in done.notes:
        click.echo(plain(note))
    return int(ExitCode.OK)
