"""click, fitted to this program: a default command, options in groups, and completion of runs."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from engine.errors import UsageError
from tui.options import GroupedOption

CLOSE_ENOUGH = 0.6
"""Likeness of a word to a command's name (difflib's ratio) from which it is taken for a slip of the finger."""


class GroupedCommand(click.Command):
    """A command whose `--help` shows its options under their groups' titles."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(self.get_params(ctx), ctx, formatter)


def write_options(parameters: Iterable[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write options into a help text, group by group."""
    for title, rows in option_sections(parameters, ctx).items():
        with formatter.section(title):
            formatter.write_dl(rows)


def option_sections(parameters: Iterable[click.Parameter], ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """Each option and its help by the title of its group: those of no group first."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in parameters:
        record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
        if record is not None:
            title = parameter.group if isinstance(parameter, GroupedOption) else "options"
            sections.setdefault(title, []).append(record)
    return sections


class DefaultGroup(click.Group):
    """Commands, one of which, `default`, takes all that begins with no command's name: `bertqa-tui DATASET --lr 1e-4`.

    It stands in no list of commands; its options are shown beside them.
    """

    def __init__(
        self, name: str, *, default: click.Command, usages: Sequence[tuple[str, str]], **settings: Any
    ) -> None:
        """`usages` are the forms of a call and what each does, for `--help`."""
        super().__init__(name, **settings)
        self.default, self.usages = default, usages

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.default if cmd_name == self.default.name else super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        begins_with_command = bool(args) and (args[0] in self.commands or args[0] in own)
        completing_the_first_word = ctx.resilient_parsing and not args
        if not begins_with_command and not completing_the_first_word:
            if args and not ctx.resilient_parsing:
                refuse_slip(args[0], self.commands)
            args = [self.default.name or "", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        with click.Context(self.default, parent=ctx, info_name=self.default.name) as inner:
            arguments = [p for p in self.default.params if isinstance(p, click.Argument)]
            values = [] if incomplete.startswith("-") else arguments[0].shell_complete(inner, incomplete)
            return [*super().shell_complete(ctx, incomplete), *self.default.shell_complete(inner, incomplete), *values]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(f"{ctx.command_path} {form}".strip(), text) for form, text in self.usages]
        with formatter.section("usage"):
            formatter.write_dl(rows)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        write_options([*self.get_params(ctx), *self.default.params], ctx, formatter)


class RunName(click.ParamType[str]):
    """A run: its folder, or its name in the runs folder, which is completed."""

    name = "run"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        folder = Path(ctx.params.get("runs_dir") or os.environ.get("BERTQA_RUNS_DIR") or "runs")
        names = run_names(folder, incomplete)
        return [*(CompletionItem(name) for name in names), CompletionItem(incomplete, type="dir")]


class Target(RunName):
    """A data set or a run."""

    name = "target"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


def run_names(folder: Path, incomplete: str) -> list[str]:
    """Names of the runs in `folder` that begin with `incomplete`, newest first."""
    from engine.rundir.layout import list_runs

    return [path.name for path in list_runs(folder) if path.name.startswith(incomplete)]


def refuse_slip(word: str, commands: Iterable[str]) -> None:
    """Raise UsageError where `word`, which should be a data set or a run, is no file and resembles a command."""
    if os.path.lexists(word) or Path(word).suffix or os.sep in word:
        return
    if close := difflib.get_close_matches(word, list(commands), n=1, cutoff=CLOSE_ENOUGH):
        raise UsageError(f"there is no file, run or command {word!r}.", hint=f"Did you mean: bertqa-tui {close[0]}?")
