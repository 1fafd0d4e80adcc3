"""The command `bertqa-tui`: reads the command line and runs a command; a user's mistake is one line on stderr."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from engine.errors import ExitCode, UsageError, UserError, WriteError
from tui.cli.command_line import DefaultGroup
from tui.cli.registry import COMMANDS
from tui.cli.watch import watch

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
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
INTERRUPTED = 130


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


def _print_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"bertqa-tui {version('bertqa-tui')}")
        ctx.exit()


group = DefaultGroup(
    "bertqa-tui",
    default=watch,
    commands=COMMANDS,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_print_version,
            help="print the version",
        )
    ],
    usages=USAGES,
    help=DESCRIPTION,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
