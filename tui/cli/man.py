"""`man`: the manual page, made from what `--help` is made of."""

from __future__ import annotations

from collections.abc import Iterable

import click

from engine.errors import ExitCode
from tui.cli.command_line import DefaultGroup, option_sections
from tui.cli.common import command


@command()
def man() -> int:
    """Print the manual page, made from the same source as `--help`."""
    root = click.get_current_context().find_root()
    assert isinstance(root.command, DefaultGroup)
    click.echo(manual_page(root.command, root))
    return int(ExitCode.OK)


def manual_page(group: DefaultGroup, root: click.Context) -> str:
    """The program's page in roff's man macros: forms of a call, commands with their options, exit codes."""
    from importlib.metadata import version

    name = root.info_name or group.name or ""
    lines = [f'.TH {_roff(name).upper()} 1 "" "{_roff(name)} {_roff(version("bertqa-tui"))}" "User Commands"']
    lines += [".SH NAME", f"{_roff(name)} \\- {_roff(group.help or '')}", ".SH SYNOPSIS"]
    for form, _ in group.usages:
        lines += [f".B {_roff(name)}", *([_roff(form)] if form else []), ".br"]
    lines += [".SH DESCRIPTION"]
    for form, text in group.usages:
        lines += [".TP", f".B {_roff(f'{name} {form}'.strip())}", _roff(text)]
    lines += [".SH OPTIONS", *_options([*group.get_params(root), *group.default.params], root)]
    lines.append(".SH COMMANDS")
    for command_name in group.list_commands(root):
        found = group.get_command(root, command_name)
        assert found is not None
        context = click.Context(found, parent=root, info_name=command_name)
        lines += [
            f".SS {_roff(' '.join([command_name, *found.collect_usage_pieces(context)]))}",
            _roff(found.help or ""),
        ]
        lines += _options(found.get_params(context), context)
    lines += [".SH EXIT STATUS", _roff(group.epilog or "")]
    return "\n".join(lines)


def _options(parameters: Iterable[click.Parameter], context: click.Context) -> list[str]:
    return [
        line
        for rows in option_sections(parameters, context).values()
        for option, text in rows
        for line in (".TP", f".B {_roff(option)}", _roff(text))
    ]


def _roff(text: str) -> str:
    """Text that roff prints as it is, on one line."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    line = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in line)
    return f"\\&{line}" if line.startswith((".", "'")) else line
