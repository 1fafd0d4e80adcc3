"""`suspects`: the labels of a run that deserve a look."""

from __future__ import annotations

import click

from engine.errors import ExitCode, UsageError
from tui.cli.common import RUN, RUNS_DIR, command, find_run
from tui.options import GroupedOption

SHOWN = 20
"""Entries of each list in the plain table."""


@command(
    RUN,
    GroupedOption(["--json", "as_json"], "output", is_flag=True, help="a JSON object for each, for scripts"),
    GroupedOption(["--csv", "as_csv"], "output", is_flag=True, help="a CSV table, for scripts"),
    GroupedOption(
        ["--limit"],
        "output",
        metavar="N",
        type=click.IntRange(min=1),
        help=f"at most N of each list (default: {SHOWN}, and all for --json and --csv)",
    ),
    RUNS_DIR,
)
def suspects(run: str, as_json: bool, as_csv: bool, limit: int | None, runs_dir: str | None) -> int:
    """Labels that deserve a look, with the reason and their place in your file: wrong places, wrong boundaries."""
    from engine.export.suspects import LISTS, csv_text, json_lines, suspect_records
    from engine.rundir.layout import RunDir
    from tui.drawing.text import plain

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other.")
    scripts = as_json or as_csv
    records = suspect_records(RunDir(find_run(run, runs_dir)), limit if limit or scripts else SHOWN)
    if scripts:
        click.echo(json_lines(records) if as_json else csv_text(records), nl=False)
        return int(ExitCode.OK)
    for name in LISTS.values():
        entries = [record for record in records if record.list == name]
        for number, entry in enumerate(entries):
            if number == 0 or entry.half != entries[number - 1].half:
                click.echo(plain(f"{name}, {entry.half} examples of {entry.file}"))
            where = f"{entry.id} at {entry.offset}" if entry.offset >= 0 else entry.id
            click.echo(plain(f"{entry.rank:>4}  {where}: {entry.reason}", 400))
    return int(ExitCode.OK)
