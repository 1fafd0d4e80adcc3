"""The command `bertqa-tui`: reads the command line, and hands over to the screen or to plain output."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.errors import ExitCode, UsageError, UserError, WriteError
from tui.command_line import DefaultGroup, GroupedCommand, RunName, Target
from tui.options import GroupedOption, flag_of, training_options

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.rundir.commands import CommandName

DESCRIPTION = "Fine-tune an extractive question-answering model and watch how it learns to answer."
USAGES = (
    ("DATASET [OPTIONS]", "fine-tune on a SQuAD-style file and watch"),
    ("RUN_DIR [OPTIONS]", "watch a run, live or finished"),
    ("", "list of runs, or the sample data where there are none"),
    ("COMMAND --help", "a command's own options"),
)
EPILOG = (
    "exit codes: 0 done, 1 the run failed, 2 wrong use, 65 bad data, 69 model not found, 73 cannot write, "
    "75 stopped and can be resumed"
)
CHECK_OPTIONS = frozenset(
    {
        "eval",
        "eval_fraction",
        "seed",
        "strict",
        "max_length",
        "doc_stride",
        "max_answer_length",
        "model",
        "revision",
        "trust_remote_code",
    }
)
"""The options of a fine-tuning that shape what `check` reports."""
MEANT_FOR_A_RUN = frozenset({"runs_dir"})
"""Options of a fine-tuning that also say something of a run that exists."""
Action = TypeVar("Action", bound=Callable[..., int])
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
INTERRUPTED = 130

PLAIN = GroupedOption(["--plain"], "screen", is_flag=True, help="one line for each snapshot instead of the full screen")
ASCII = GroupedOption(["--ascii", "ascii_only"], "screen", is_flag=True, help="draw with ASCII characters alone")
THEME = GroupedOption(["--theme"], "screen", metavar="NAME", help="dark, light, colour-blind or none")
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
SCREEN = (PLAIN, ASCII, THEME)
DATASET = click.Argument(["dataset"], metavar="DATASET", type=click.Path())
RUN = click.Argument(["run"], metavar="RUN", type=RunName())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see ExitCode). A user's mistake is one line on stderr."""
    try:
        try:
            os.getcwd()
        except FileNotFoundError:
            raise UsageError("the current folder does not exist any more.", hint="Change to another one: cd.") from None
        code = group.main(args=argv, prog_name="bertqa-tui", standalone_mode=False)
        sys.stdout.flush()
        return int(code or ExitCode.OK)
    except click.exceptions.Exit as left:
        return left.exit_code
    except click.UsageError as error:
        return _fail(UsageError(_sentence(error.format_message()), hint="See bertqa-tui --help."))
    except UserError as error:
        return _fail(error)
    except BrokenPipeError:
        _give_up_output()
        return int(ExitCode.OK)
    except MemoryError:
        return _fail(UserError("there is not enough memory.", hint="Close other programs, or use a larger machine."))
    except OSError as error:
        if error.errno not in FULL:
            raise
        _give_up_output()
        return _fail(WriteError(f"cannot write the output: {error.strerror}.", hint="Make room, or send it elsewhere."))
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED


def _sentence(text: str) -> str:
    """click's message in our form: one line that begins small and ends with a full stop."""
    line = " ".join(text.split())
    return line[:1].lower() + line[1:].rstrip(".") + ("" if line.endswith("?") else ".")


def _fail(error: UserError) -> int:
    from tui.drawing.text import plain

    with suppress(OSError):
        print(f"bertqa-tui: {plain(str(error))}", file=sys.stderr)
    return int(error.exit_code)


def _give_up_output() -> None:
    """Let what is still in standard output's buffer go nowhere, so that the interpreter's end does not try again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# -- the default command --------------------------------------------------------------------------------------


def watch(target: str | None, config: str | None, **given: Any) -> int:
    """Fine-tune and watch, watch a run, or list the runs."""
    screen = {name: given.pop(name) for name in ("plain", "ascii_only", "theme")} | {"config": config}
    flags = {name: value for name, value in given.items() if value is not None}
    if target is None:
        _refuse(set(flags) - MEANT_FOR_A_RUN, "without a DATASET")
        return _show(None, runs_dir=flags.get("runs_dir"), **screen)
    from engine.rundir.layout import is_run_dir

    if is_run_dir(Path(target)):
        _refuse(set(flags) - MEANT_FOR_A_RUN, "for a run that exists")
        return _show(Path(target), runs_dir=flags.get("runs_dir"), **screen)
    return _show(_start(target, flags, config), started=True, runs_dir=flags.get("runs_dir"), **screen)


def _refuse(names: set[str], where: str) -> None:
    """Raise UsageError for options that would be ignored."""
    if names:
        listed = ", ".join(sorted(flag_of(name) for name in names))
        verb = "has" if len(names) == 1 else "have"
        raise UsageError(f"{listed} {verb} no meaning {where}.", hint="Leave it out, or name a data set.")


group = DefaultGroup(
    "bertqa-tui",
    default=GroupedCommand(
        "DATASET|RUN_DIR",
        params=[
            click.Argument(["target"], metavar="[DATASET|RUN_DIR]", required=False, type=Target()),
            *SCREEN,
            CONFIG,
            *training_options(),
        ],
        callback=watch,
        help=watch.__doc__,
    ),
    usages=USAGES,
    help=DESCRIPTION,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"bertqa-tui {version('bertqa-tui')}")
        ctx.exit()


group.params.append(
    click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_print_version,
        help="print the version",
    )
)


def _command(*parameters: click.Parameter) -> Callable[[Action], Action]:
    """Register a function as a command of its name, with these parameters; its docstring is its help."""

    def register(function: Action) -> Action:
        text = (function.__doc__ or "").strip()
        made = GroupedCommand(function.__name__, params=list(parameters), callback=function, help=text, short_help=text)
        group.add_command(made)
        return function

    return register


# -- the commands ---------------------------------------------------------------------------------------------


@_command(DATASET, JSON, CONFIG, *training_options())
def train(dataset: str, as_json: bool, config: str | None, **flags: Any) -> int:
    """Fine-tune with progress bars and no full screen (Slurm, CI); the exit code is the run's."""
    from engine.launch import attach as attach_run
    from tui.plain import follow

    return follow(attach_run(_start(dataset, flags, config)), as_json=as_json, bars=_can_move_cursor())


@_command(click.Argument(["run"], metavar="[RUN]", required=False, type=RunName()), *SCREEN, RUNS_DIR)
def attach(run: str | None, runs_dir: str | None, **screen: Any) -> int:
    """Watch a run, live or finished; the newest when none is named."""
    return _show(_find_run(run, runs_dir), runs_dir=runs_dir, **screen)


@_command(GroupedOption(["--json", "as_json"], "output", is_flag=True, help="one JSON object for each run"), RUNS_DIR)
def runs(as_json: bool, runs_dir: str | None) -> int:
    """All runs: state, data, model, epoch, best score."""
    from tui.plain import print_runs

    print_runs(_runs_folder(runs_dir), as_json=as_json)
    return int(ExitCode.OK)


@_command(RUN, RUNS_DIR)
def pause(run: str, runs_dir: str | None) -> int:
    """Ask a live run to pause after the current step."""
    return _send(_find_run(run, runs_dir), "pause")


@_command(RUN, RUNS_DIR)
def stop(run: str, runs_dir: str | None) -> int:
    """Ask a live run to save a checkpoint and stop; `resume` continues it."""
    return _send(_find_run(run, runs_dir), "stop")


@_command(
    RUN,
    click.Option(["--force"], is_flag=True, help="resume although the data set, the model or versions changed"),
    click.Option(["--detach"], is_flag=True, help="return once the engine is started"),
    JSON,
    *SCREEN,
    RUNS_DIR,
)
def resume(run: str, force: bool, detach: bool, as_json: bool, runs_dir: str | None, **screen: Any) -> int:
    """Continue a run that is paused, was stopped, or died."""
    path = _find_run(run, runs_dir)
    from engine.launch import attach as attach_run
    from engine.launch import resume as resume_run
    from engine.rundir.log import read_events

    watched = attach_run(path)
    if watched.is_live():
        return _send(path, "resume")
    known = max((event.seq for event in read_events(watched.directory.events_file)), default=0)
    resumed = resume_run(path, force=force)
    if detach:
        click.echo(f"resumed {resumed.path}")
        return int(ExitCode.OK)
    if as_json or not _can_draw(plain=screen["plain"]):
        from tui.plain import follow

        return follow(resumed, as_json=as_json, bars=_can_move_cursor(plain=screen["plain"]), after=known)
    return _show(resumed.path, started=True, runs_dir=runs_dir, **screen)


@_command(
    DATASET,
    GroupedOption(
        ["--repair"], "output", metavar="FILE", type=click.Path(), help="write a repaired copy (never overwrites)"
    ),
    GroupedOption(["--json", "as_json"], "output", is_flag=True, help="one JSON record for each issue, for scripts"),
    CONFIG,
    *training_options(CHECK_OPTIONS),
)
def check(dataset: str, repair: str | None, as_json: bool, config: str | None, **flags: Any) -> int:
    """Read, validate and count a data set; every issue with its place, and 65 where errors are left."""
    from tui.plain import print_check

    return print_check(_config(dataset, flags, config), repair=Path(repair) if repair else None, as_json=as_json)


# -- what they share ------------------------------------------------------------------------------------------


def _config(dataset: str, flags: dict[str, Any], config_file: str | None) -> RunConfig:
    from tui.options import training_config

    return training_config(dataset, flags, config_file=Path(config_file) if config_file else None)


def _start(dataset: str, flags: dict[str, Any], config_file: str | None) -> Path:
    """Start an engine, after everything that can be known to fail was tried (data, model); returns the run's folder."""
    from engine.launch import start

    return start(_config(dataset, flags, config_file)).path


def _can_draw(*, plain: bool = False) -> bool:
    return _can_move_cursor(plain=plain) and sys.stdin.isatty()


def _can_move_cursor(*, plain: bool = False) -> bool:
    return not plain and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _show(
    path: Path | None,
    *,
    plain: bool,
    ascii_only: bool,
    theme: str | None,
    runs_dir: str | None,
    config: str | None = None,
    started: bool = False,
) -> int:
    """Watch the run at `path` (None: the list of runs) on the full screen, or line by line."""
    if not _can_draw(plain=plain):
        from tui.plain import follow, print_runs

        if path is None:
            print_runs(_runs_folder(runs_dir))
            return int(ExitCode.OK)
        from engine.launch import attach as attach_run

        return follow(attach_run(path), bars=_can_move_cursor(plain=plain), owns_run=started)
    if "SSH_CONNECTION" in os.environ:
        # Read by Textual at import: fewer frames on a slow link, unless the user chose a number.
        os.environ.setdefault("TEXTUAL_FPS", "15")
    from tui.terminal.background import Background, is_worth_asking

    background = Background() if theme is None and is_worth_asking() else None
    from tui.app import BertQAApp

    app = BertQAApp(
        path,
        runs_dir=_runs_folder(runs_dir),
        config_file=Path(config) if config else None,
        ascii_only=ascii_only,
        theme_name=theme,
        light_background=background.is_light() if background is not None else None,
    )
    app.run()
    for line in app.farewell:
        click.echo(line)
    return int(app.return_code or ExitCode.OK)


def _runs_folder(option: str | None) -> Path:
    return Path(option or os.environ.get("BERTQA_RUNS_DIR") or "runs")


def _find_run(name: str | None, runs_dir: str | None) -> Path:
    """The run folder called `name` (a path, or a name in the runs folder); the newest where it is None."""
    from engine.rundir.layout import is_run_dir, list_runs

    folder = _runs_folder(runs_dir)
    if name is None:
        found = list_runs(folder)
        if not found:
            raise UsageError(f"there is no run in {folder}.", hint="Start one: bertqa-tui DATASET.")
        return found[0]
    for path in (Path(name), folder / Path(name).name):
        if is_run_dir(path):
            return path
    raise UsageError(f"{name}: not a run.", hint="`bertqa-tui runs` lists them.")


def _send(path: Path, command: CommandName) -> int:
    from tui.plain import send_and_wait

    return send_and_wait(path, command)


if __name__ == "__main__":
    sys.exit(main())
