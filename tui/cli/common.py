"""What the commands share: options, finding a run, and showing it on the full screen or line by line."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.errors import ExitCode, UsageError
from tui.cli.command_line import GroupedCommand, RunName
from tui.options import GroupedOption

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.rundir.commands import CommandName

PLAIN = GroupedOption(["--plain"], "screen", is_flag=True, help="one line for each snapshot instead of the full screen")
ASCII = GroupedOption(["--ascii", "ascii_only"], "screen", is_flag=True, help="draw with ASCII characters alone")
THEME = GroupedOption(["--theme"], "screen", metavar="NAME", help="dark, light, colour-blind or none")
LOOK_ONLY = GroupedOption(
    ["--look-only"], "screen", is_flag=True, help="without the keys that change, start or write anything"
)
CONFIG = GroupedOption(
    ["--config"], "files", metavar="FILE", type=click.Path(), help="TOML file with a [train] table of options"
)
JSON = GroupedOption(["--json", "as_json"], "output", is_flag=True, help="print the run's events as JSON lines")
RUNS_DIR = GroupedOption(
    ["--runs-dir"],
    "files",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="folder that holds all runs (default: ./runs)",
)
SCREEN = (PLAIN, ASCII, THEME, LOOK_ONLY)
DATASET = click.Argument(["dataset"], metavar="DATASET", type=click.Path())
RUN = click.Argument(["run"], metavar="RUN", type=RunName())


def command(*parameters: click.Parameter, name: str = "") -> Callable[[Callable[..., int]], GroupedCommand]:
    """Make a function a command of its name, with these parameters; its docstring is its help, and it returns the exit
    code."""

    def make(function: Callable[..., int]) -> GroupedCommand:
        text = (function.__doc__ or "").strip()
        return GroupedCommand(
            name or function.__name__, params=list(parameters), callback=function, help=text, short_help=text
        )

    return make


def config_of(dataset: str, flags: dict[str, Any], config_file: str | None) -> RunConfig:
    """The options of a fine-tuning from flags, environment and files. Raises UsageError."""
    from tui.options import training_config

    return training_config(dataset, flags, config_file=Path(config_file) if config_file else None)


def start_run(dataset: str, flags: dict[str, Any], config_file: str | None) -> Path:
    """Start an engine, after everything that can be known to fail was tried (data, model); returns the run's folder."""
    from engine.early import WORKER, EarlyEngine
    from engine.rundir.place import placed

    config = placed(config_of(dataset, flags, config_file))
    with no_collection(), ExitStack() as held:
        # First of all: it imports torch while this process imports what checks the data.
        one_process = config.nnodes == config.devices == 1
        early = held.enter_context(EarlyEngine(WORKER, Path(config.run_dir or ""), {})) if one_process else None
        from engine.launch import start_with

        return start_with(early, config).path


@contextmanager
def no_collection() -> Iterator[None]:
    """Without looking for garbage: of what imports and data sets are made there is hardly any, and looking takes an
    eighth of their time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def can_draw(*, plain: bool = False) -> bool:
    """Whether there is a terminal to draw the full screen on and to read keys from."""
    return can_move_cursor(plain=plain) and sys.stdin.isatty()


def can_move_cursor(*, plain: bool = False) -> bool:
    """Whether standard output is a terminal that can redraw a line."""
    return not plain and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def show_run(
    path: Path | None,
    *,
    plain: bool,
    ascii_only: bool,
    theme: str | None,
    look_only: bool = False,
    runs_dir: str | None,
    config: str | None = None,
    started: bool = False,
    marked: Sequence[Path] = (),
) -> int:
    """Watch the run at `path` (None: the list of runs) on the full screen, its curves with those of `marked` runs, or
    line by line."""
    if not can_draw(plain=plain):
        from tui.plain.follow import follow
        from tui.plain.runs_table import print_runs

        if path is None:
            print_runs(runs_folder(runs_dir))
            return int(ExitCode.OK)
        from engine.launch import attach as attach_run

        return follow(attach_run(path), bars=can_move_cursor(plain=plain), owns_run=started)
    if "SSH_CONNECTION" in os.environ:
        # Read by Textual at import: fewer frames on a slow link, unless the user chose a number.
        os.environ.setdefault("TEXTUAL_FPS", "15")
    from tui.terminal.background import Background, is_worth_asking

    background = Background() if theme is None and is_worth_asking() else None
    from tui.app import BertQAApp
    from tui.terminal.memory import give_back_large_blocks

    give_back_large_blocks()
    app = BertQAApp(
        path,
        runs_dir=runs_folder(runs_dir),
        config_file=Path(config) if config else None,
        ascii_only=ascii_only,
        theme_name=theme,
        look_only=look_only,
        light_background=background.is_light() if background is not None else None,
        marked=marked,
    )
    app.run()
    for line in app.farewell:
        click.echo(line)
    return int(app.return_code or ExitCode.OK)


def runs_folder(option: str | None) -> Path:
    """The folder that holds all runs."""
    return Path(option or os.environ.get("BERTQA_RUNS_DIR") or "runs")


def find_run(name: str | None, runs_dir: str | None) -> Path:
    """The run folder called `name` (a path, or a name in the runs folder); the newest where it is None."""
    from engine.rundir.layout import is_run_dir, list_runs

    folder = runs_folder(runs_dir)
    if name is None:
        found = list_runs(folder)
        if not found:
            raise UsageError(f"there is no run in {folder}.", hint="Start one: bertqa-tui DATASET.")
        return found[0]
    for path in (Path(name), folder / Path(name).name):
        if is_run_dir(path):
            return path
    raise UsageError(f"{name}: not a run.", hint="`bertqa-tui runs` lists them.")


def runs_called(name: str, runs_dir: str | None) -> list[Path]:
    """The run called `name`, or all runs of the sweep of that name, oldest first. Raises UsageError."""
    try:
        return [find_run(name, runs_dir)]
    except UsageError:
        if found := runs_of(name, runs_dir):
            return found
        raise


def runs_of(sweep: str, runs_dir: str | None) -> list[Path]:
    """The runs of the sweep of that name, oldest first; [] where there is none."""
    from engine.sweep import runs_of_sweep

    return [run.path for run, _ in runs_of_sweep(sweep, runs_folder(runs_dir))]


def send(path: Path, command: CommandName) -> int:
    """Ask the engine of a run, and print what becomes of it."""
    from tui.plain.send import send_and_wait

    return send_and_wait(path, command)
