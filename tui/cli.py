"""The command `bertqa-tui`: reads the command line, and hands over to the screen or to plain output."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from engine.errors import ExitCode, UsageError, UserError

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.launch import Run
    from engine.rundir.commands import CommandName

DESCRIPTION = "Fine-tune an extractive question-answering model and watch how it learns to answer."
EPILOG = """\
commands (each has its own --help):
  bertqa-tui DATASET            fine-tune on a SQuAD-style file and watch
  bertqa-tui RUN_DIR            watch a run, live or finished
  bertqa-tui                    list of runs, or the sample data where there are none
  bertqa-tui train DATASET      fine-tune with progress bars and no full screen
  bertqa-tui attach [RUN]       watch a run; the newest when none is named
  bertqa-tui runs               all runs: state, data, model, epoch, best score
  bertqa-tui pause|stop RUN     ask a live run to pause or to stop
  bertqa-tui resume RUN         go on with a paused, stopped or killed run
  bertqa-tui check DATASET      read and validate a data set, every fault with its place

exit codes: 0 done, 1 the run failed, 2 wrong use, 65 bad data, 69 model not to be had,
73 cannot write, 75 stopped and can be resumed
"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message[:1].lower() + message[1:] + ".", hint=f"See {self.prog} --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see ExitCode). DataIssues of the user go to stderr in one line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        name = arguments[0] if arguments else ""
        if name in COMMANDS:
            return COMMANDS[name](arguments[1:])
        return watch(arguments)
    except UserError as error:
        from tui.drawing.text import plain

        print(f"bertqa-tui: {plain(str(error))}", file=sys.stderr)
        return int(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except KeyboardInterrupt:
        return 130


def watch(arguments: Sequence[str]) -> int:
    """`bertqa-tui [DATASET | RUN_DIR]`: fine-tune and watch, or watch a run, or list the runs."""
    parser = _parser("bertqa-tui", DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    parser.add_argument("target", nargs="?", metavar="DATASET|RUN_DIR", help="what to learn from, or the run to watch")
    _screen_options(parser)
    _training_options(parser)
    options = parser.parse_args(arguments)
    if options.version:
        from importlib.metadata import version

        print(f"bertqa-tui {version('bertqa-tui')}")
        return int(ExitCode.OK)
    if options.target is None:
        return _show(None, options)
    from engine.rundir.layout import is_run_dir

    if is_run_dir(Path(options.target)):
        return _show(Path(options.target), options)
    return _show(_start(_config(options)).path, options, started=True)


def train(arguments: Sequence[str]) -> int:
    """`bertqa-tui train DATASET`: fine-tune without a full screen; the exit code is the run's."""
    parser = _parser("bertqa-tui train", "Fine-tune with progress bars and no full screen (Slurm, CI, nohup).")
    parser.add_argument("dataset", metavar="DATASET", help="SQuAD-style file to learn from")
    parser.add_argument("--json", action="store_true", help="print the run's events as JSON lines")
    _training_options(parser)
    options = parser.parse_args(arguments)
    options.target = options.dataset
    from tui.plain import follow

    return follow(_start(_config(options)), as_json=options.json, bars=_can_move_cursor(options))


def attach(arguments: Sequence[str]) -> int:
    """`bertqa-tui attach [RUN]`: watch a run, the newest when none is named."""
    parser = _parser("bertqa-tui attach", "RunStatus a run, live or finished; the newest when none is named.")
    parser.add_argument("run", nargs="?", metavar="RUN", help="folder or name of the run")
    _screen_options(parser)
    _runs_dir_option(parser)
    options = parser.parse_args(arguments)
    return _show(_find_run(options.run, options.runs_dir), options)


def resume(arguments: Sequence[str]) -> int:
    """`bertqa-tui resume RUN`: go on with a run that is paused, was stopped, or died."""
    parser = _parser("bertqa-tui resume", "Go on with a run that is paused, was stopped, or died.")
    parser.add_argument("run", metavar="RUN", help="folder or name of the run")
    parser.add_argument(
        "--force", action="store_true", help="go on although the data set, the model or versions changed"
    )
    parser.add_argument("--detach", action="store_true", help="return once the engine is started")
    parser.add_argument("--json", action="store_true", help="print the run's events as JSON lines")
    _screen_options(parser)
    _runs_dir_option(parser)
    options = parser.parse_args(arguments)
    path = _find_run(options.run, options.runs_dir)
    from engine.launch import attach as attach_run
    from engine.launch import resume as resume_run
    from engine.rundir.log import read_events

    run = attach_run(path)
    if run.is_live():
        return _send(path, "resume")
    told = max((event.seq for event in read_events(run.directory.events_file)), default=0)
    run = resume_run(path, force=options.force)
    if options.detach:
        print(f"resumed {run.path}")
        return int(ExitCode.OK)
    if options.json or not _can_draw(options):
        from tui.plain import follow

        return follow(run, as_json=options.json, bars=_can_move_cursor(options), after=told)
    return _show(run.path, options, started=True)


def pause(arguments: Sequence[str]) -> int:
    """`bertqa-tui pause RUN`."""
    return _command("pause", "Ask a live run to pause after the step at hand.", arguments)


def stop(arguments: Sequence[str]) -> int:
    """`bertqa-tui stop RUN`."""
    return _command("stop", "Ask a live run to save a checkpoint and stop; `resume` goes on with it.", arguments)


def runs(arguments: Sequence[str]) -> int:
    """`bertqa-tui runs`: all runs of the runs folder, newest first."""
    parser = _parser("bertqa-tui runs", "All runs: state, data, model, epoch, best score.")
    parser.add_argument("--json", action="store_true", help="one JSON object for each run")
    _runs_dir_option(parser)
    options = parser.parse_args(arguments)
    from tui.plain import print_runs

    print_runs(_runs_folder(options.runs_dir), as_json=options.json)
    return int(ExitCode.OK)


def check(arguments: Sequence[str]) -> int:
    """`bertqa-tui check DATASET`: read, validate, count, mend; 65 where errors are left."""
    parser = _parser("bertqa-tui check", "Read a data set, count it, and tell every fault with its place.")
    parser.add_argument("dataset", metavar="DATASET", help="the file to check")
    parser.add_argument("--repair", metavar="FILE", help="write a mended copy as SQuAD JSON (never overwrites)")
    _training_options(parser)
    options = parser.parse_args(arguments)
    options.target = options.dataset
    from tui.plain import print_check

    return print_check(_config(options), repair=Path(options.repair) if options.repair else None)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "train": train,
    "attach": attach,
    "resume": resume,
    "pause": pause,
    "stop": stop,
    "runs": runs,
    "check": check,
}


def _parser(prog: str, description: str, epilog: str | None = None) -> Parser:
    return Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _screen_options(parser: Parser) -> None:
    group = parser.add_argument_group("screen")
    group.add_argument("--plain", action="store_true", help="one line for each snapshot instead of the full screen")
    group.add_argument("--ascii", action="store_true", help="draw with ASCII characters alone")
    group.add_argument("--theme", metavar="NAME", help="dark, light, colour-blind or none")


def _training_options(parser: Parser) -> None:
    from tui.options import add_training_options

    group = parser.add_argument_group("files")
    group.add_argument("--config", metavar="FILE", help="TOML file with a [train] table of options")
    add_training_options(parser)


def _runs_dir_option(parser: Parser) -> None:
    parser.add_argument("--runs-dir", metavar="DIR", help="folder that holds all runs (default: ./runs)")


def _config(options: argparse.Namespace) -> RunConfig:
    from tui.options import training_config

    return training_config(options.target, vars(options), config_file=Path(options.config) if options.config else None)


def _start(config: RunConfig) -> Run:
    from engine.launch import start

    return start(config)


def _can_draw(options: argparse.Namespace) -> bool:
    return _can_move_cursor(options) and sys.stdin.isatty()


def _can_move_cursor(options: argparse.Namespace) -> bool:
    plain = getattr(options, "plain", False)
    return not plain and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _show(path: Path | None, options: argparse.Namespace, *, started: bool = False) -> int:
    """RunStatus the run at `path` (None: the list of runs) on the full screen, or line by line."""
    if not _can_draw(options):
        from tui.plain import follow, print_runs

        if path is None:
            print_runs(_runs_folder(getattr(options, "runs_dir", None)))
            return int(ExitCode.OK)
        from engine.launch import attach as attach_run

        return follow(attach_run(path), bars=_can_move_cursor(options), owns_run=started)
    if "SSH_CONNECTION" in os.environ:
        # Read by Textual at import: fewer frames on a slow link, unless the user chose a number.
        os.environ.setdefault("TEXTUAL_FPS", "15")
    from tui.terminal.background import Background, is_worth_asking

    background = Background() if options.theme is None and is_worth_asking() else None
    from tui.app import BertQAApp

    app = BertQAApp(
        path,
        runs_dir=_runs_folder(getattr(options, "runs_dir", None)),
        config_file=Path(options.config) if getattr(options, "config", None) else None,
        ascii_only=options.ascii,
        theme_name=options.theme,
        light_background=background.is_light() if background is not None else None,
    )
    app.run()
    for line in app.farewell:
        print(line)
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


def _command(name: CommandName, description: str, arguments: Sequence[str]) -> int:
    parser = _parser(f"bertqa-tui {name}", description)
    parser.add_argument("run", metavar="RUN", help="folder or name of the run")
    _runs_dir_option(parser)
    options = parser.parse_args(arguments)
    return _send(_find_run(options.run, options.runs_dir), name)


def _send(path: Path, command: CommandName) -> int:
    from tui.plain import send_and_wait

    return send_and_wait(path, command)


if __name__ == "__main__":
    sys.exit(main())
