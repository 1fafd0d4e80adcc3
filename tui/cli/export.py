"""`export`: write what a run learned for use elsewhere; the target's ending or an option says what."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from engine.errors import ExitCode, UsageError
from tui.cli.command_line import RunName
from tui.cli.common import RUN, RUNS_DIR, command, find_run, runs_called
from tui.drawing.text import plain
from tui.options import GroupedOption

if TYPE_CHECKING:
    from engine.export.kinds import Request
    from engine.rundir.layout import RunDir


@command(
    RUN,
    GroupedOption(
        ["-o", "--output"],
        "output",
        metavar="PATH",
        type=click.Path(),
        help="where to write; its ending says what: none, a folder that transformers loads; .html, a report for any "
        "browser; .svg, a screen as a picture; .onnx, the model for onnxruntime; .parquet, .csv or .json, a table of "
        "all examples and snapshots (never overwrites)",
    ),
    GroupedOption(
        ["--snapshot"],
        "output",
        metavar="N|best|last",
        help="whose weights or scores: a snapshot's number, best (F1) or last",
    ),
    GroupedOption(
        ["--card"], "output", is_flag=True, help="folder: also a model card (README.md) with scores and curve"
    ),
    GroupedOption(["--onnx"], "output", is_flag=True, help="folder: also model.onnx, compared with torch"),
    GroupedOption(["--tokens"], "output", is_flag=True, help="tables: a row for each token with its scores"),
    GroupedOption(["--passages"], "output", is_flag=True, help="tables: the text of the passage in every row"),
    GroupedOption(
        ["--screen"],
        "picture",
        metavar="NAME",
        help="journey (default), spans, curves, map, compare, runs, heatmap, trust or groups",
    ),
    GroupedOption(["--example"], "picture", metavar="ID", help="the example to show, by its id or its whole question"),
    GroupedOption(
        ["--overlay"],
        "picture",
        metavar="RUN",
        multiple=True,
        type=RunName(),
        help="curves: those of this run too, or of a sweep's runs; may be given again",
    ),
    GroupedOption(
        ["--spread"],
        "picture",
        type=click.Choice(["range", "std"]),
        help="curves: runs that differ in their seed alone as their mean, from least to greatest or ± one deviation",
    ),
    GroupedOption(["--size"], "picture", metavar="120x40", help="columns and rows (default: 120x40)"),
    GroupedOption(["--theme"], "picture", metavar="NAME", help="dark (default), light, colour-blind or none"),
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
    GroupedOption(
        ["--push-to-hub"],
        "Hub",
        metavar="NAME",
        help="upload the folder with its card as OWNER/MODEL; asks before it does",
    ),
    GroupedOption(["--public"], "Hub", is_flag=True, help="anyone can read it there (default: private)"),
    GroupedOption(["--yes"], "Hub", is_flag=True, help="upload without asking, for scripts"),
    RUNS_DIR,
)
def export(
    run: str,
    output: str | None,
    dataset: str | None,
    half: Literal["train", "validation"] | None,
    from_run: bool,
    overlay: tuple[str, ...],
    runs_dir: str | None,
    **options: Any,
) -> int:
    """Write a report for any browser, a picture, a table of answers, the model for transformers, or corrected data."""
    from engine.export.kinds import Request
    from engine.rundir.layout import RunDir

    if dataset is not None:
        if output is not None or overlay or any(options.values()):
            raise UsageError("--dataset writes the data alone.", hint="Leave the other options out.")
        return _export_dataset(find_run(run, runs_dir), dataset, half, from_run=from_run)
    if half is not None or from_run:
        raise UsageError("--half and --from-run belong to --dataset FILE.")
    directory = RunDir(find_run(run, runs_dir))
    name, public, agreed = options.pop("push_to_hub"), options.pop("public"), options.pop("yes")
    options["overlay"] = tuple(path for name in overlay for path in runs_called(name, runs_dir))
    options["tell"] = lambda line: click.echo(plain(line))
    options["draw"] = _draw
    if name is not None:
        return _push(directory, output, name, public=public, agreed=agreed, options=options)
    if public or agreed:
        raise UsageError("--public and --yes have no meaning without --push-to-hub.", hint="Leave them out.")
    if output is None:
        raise UsageError(
            "nothing to export.", hint="Say where to write it: -o PATH, --dataset FILE or --push-to-hub NAME."
        )
    _write(Request(directory, Path(output), **options))
    return int(ExitCode.OK)


def _draw(request: Request) -> bytes:
    from tui.cli.picture import draw

    return draw(request)


def _export_dataset(run: Path, out: str, half: Literal["train", "validation"] | None, *, from_run: bool) -> int:
    from engine.export.dataset import change_lines, export_dataset
    from engine.rundir.layout import RunDir

    for line in change_lines(export_dataset(RunDir(run), Path(out), half, from_run=from_run)):
        click.echo(plain(line))
    return int(ExitCode.OK)


def _write(request: Request, *, temporary: bool = False) -> None:
    from engine.export.kinds import write_export

    done = write_export(request)
    for file, size in () if temporary else done.files:
        click.echo(f"wrote {plain(str(file))} ({size:,} bytes)")
    for note in done.notes:
        click.echo(plain(note))


def _push(run: RunDir, output: str | None, name: str, *, public: bool, agreed: bool, options: dict[str, Any]) -> int:
    """Export the folder, kept at `output` or else temporary, show what would leave the machine, ask, and upload."""
    import tempfile

    from engine.export.hub import hub_target, plan, push
    from engine.export.kinds import Request, kind_of

    if output is not None and kind_of(Path(output)).ending:
        raise UsageError("the Hub takes the folder of a model.", hint="Leave -o out, or name a folder.")
    if not agreed and not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on.", hint="--yes uploads without asking.")
    target = hub_target(name, public=public)
    with tempfile.TemporaryDirectory(prefix="bertqa-tui-") as temporary:
        folder = Path(output) if output is not None else Path(temporary) / "model"
        _write(Request(run, folder, **(options | {"card": True, "name": name})), temporary=output is None)
        for line in plan(folder, target):
            click.echo(plain(line))
        if not agreed and not click.confirm("Upload them?", default=False):
            click.echo("Nothing was sent.")
            return int(ExitCode.OK)
        address = push(folder, target, message="Upload a model fine-tuned with bertqa-tui")
    click.echo(f"uploaded to {plain(address)} ({'public' if public else 'private'})")
    return int(ExitCode.OK)
