"""`export`: write what a run learned for use elsewhere; the target's ending or an option says what."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

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
    GroupedOption(
        ["--dataset"],
        "corrected data",
        metavar="FILE",
        type=click.Path(),
        help="write the data set with your verdicts on its labels, in its own layout (never overwrites)",
    ),
    GroupedOption(
        ["--half"],
        "corrected data",
        type=click.Choice(["train", "validation"]),
        help="of a run with a second file (--eval), which file (default: the one with verdicts)",
    ),
    GroupedOption(
        ["--from-run"], "corrected data", is_flag=True, help="from the run's own copy, as SQuAD JSON, not your file"
    ),
    RUNS_DIR,
)
def export(
    run: str,
    output: str | None,
    dataset: str | None,
    half: Literal["train", "validation"] | None,
    from_run: bool,
    runs_dir: str | None,
    **options: Any,
) -> int:
    """Write a report for any browser, a table of all answers, the model for transformers, or the corrected data."""
    if dataset is not None:
        if output is not None or any(options.values()):
            raise UsageError("--dataset writes the data alone.", hint="Leave the other options out.")
        return _export_dataset(find_run(run, runs_dir), dataset, half, from_run=from_run)
    if half is not None or from_run:
        raise UsageError("--half and --from-run belong to --dataset FILE.")
    return _export(find_run(run, runs_dir), output, **options)


def _export_dataset(run: Path, out: str, half: Literal["train", "validation"] | None, *, from_run: bool) -> int:
    from engine.export.dataset import change_lines, export_dataset
    from engine.rundir.layout import RunDir
    from tui.drawing.text import plain

    for line in change_lines(export_dataset(RunDir(run), Path(out), half, from_run=from_run)):
        click.echo(plain(line))
    return int(ExitCode.OK)


def _export(run: Path, output: str | None, *, snapshot: str | None, tokens: bool, passages: bool) -> int:
    from engine.export.kinds import Request, write_export
    from engine.rundir.layout import RunDir
    from tui.drawing.text import plain

    directory = RunDir(run)
    if output is None:
        raise UsageError("nothing to export.", hint="Say where to write it: -o PATH, or --dataset FILE.")
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
