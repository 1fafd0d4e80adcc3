"""Command-line options of a fine-tuning: made from RunConfig, merged with environment and config files."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click
import msgspec
import platformdirs
from click.shell_completion import CompletionItem

from engine.config import GROUPS, RunConfig, config_from, described_options
from engine.errors import UsageError

ENV_PREFIX = "BERTQA_"
NOT_AN_OPTION = frozenset({"dataset"})
FILE_OPTIONS = frozenset({"eval", "model", "run_dir", "runs_dir"})
ALIASES = {"devices": ("--nproc-per-node",)}
"""torchrun's names of options that have another one here."""
OPTION_NAMES = frozenset(RunConfig.__struct_fields__) - NOT_AN_OPTION


def user_config_file() -> Path:
    """The user's own TOML file; it need not exist."""
    return Path(platformdirs.user_config_dir("bertqa-tui")) / "config.toml"


class GroupedOption(click.Option):
    """An option that `--help` shows under its group's title."""

    def __init__(self, declarations: Sequence[str], group: str, **settings: Any) -> None:
        super().__init__(declarations, **settings)
        self.group = group


def training_options(names: Collection[str] = OPTION_NAMES) -> list[click.Parameter]:
    """An option for each field of RunConfig that `names` has, group by group; one that is not given is None."""
    defaults = RunConfig(dataset="-")
    kinds = get_type_hints(RunConfig)
    described = described_options()
    order = list(GROUPS)
    chosen = sorted(
        (name for name in described if name in names and name not in NOT_AN_OPTION),
        key=lambda name: order.index(described[name][0]),
    )
    return [_option(name, kinds[name], getattr(defaults, name), *described[name]) for name in chosen]


def _option(name: str, kind: Any, default: Any, group: str, description: str) -> GroupedOption:
    flag, title = flag_of(name), GROUPS[group]
    if kind is bool:
        declared = f"{flag}/--no-{flag[2:]}" if default else flag
        return GroupedOption([declared, name], title, is_flag=True, default=None, help=description)
    choices = get_args(kind) if get_origin(kind) is Literal else None
    return GroupedOption(
        [flag, *ALIASES.get(name, ()), name],
        title,
        type=click.Choice(choices) if choices else click.STRING,
        metavar=None if choices else _metavar(name, kind),
        default=None,
        shell_complete=_completes_files if name in FILE_OPTIONS else None,
        help=description if default is None else f"{description} ({default})",
    )


def flag_of(name: str) -> str:
    """`batch_size` -> `--batch-size`."""
    return f"--{name.replace('_', '-')}"


def _completes_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


def _metavar(name: str, kind: Any) -> str:
    members = get_args(kind) or (kind,)
    if int in members:
        return "N"
    if float in members:
        return "X"
    return {"probe": "ID|QUESTION", "model": "ID|PATH", "eval": "FILE", "columns": "ROLE=NAME,…"}.get(
        name, name.rsplit("_", 1)[-1].upper()
    )


def training_config(
    dataset: str,
    flags: Mapping[str, Any],
    *,
    config_file: Path | None,
    environ: Mapping[str, str] = os.environ,
) -> RunConfig:
    """RunConfig for `dataset`: flags win over `BERTQA_…` variables, those over files, those over defaults.

    Raises UsageError for an option that is unknown or out of range, naming where it was set.
    """
    values: dict[str, Any] = {}
    for path in (user_config_file(), config_file):
        if path is not None:
            values |= _checked(read_config_file(path, required=path == config_file).get("train", {}), str(path))
    values |= _checked(_from_environment(environ), "the environment")
    values |= _checked({k: v for k, v in flags.items() if k in OPTION_NAMES and v is not None}, "the command line")
    return config_from(values | {"dataset": dataset})


def read_config_file(path: Path, *, required: bool = True) -> dict[str, Any]:
    """The tables of a TOML config file; {} when it is absent and not `required`. Raises UsageError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if required:
            raise UsageError(f"{path}: there is no such config file.") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a readable TOML file: {error}.") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    names = {ENV_PREFIX + name.upper(): name for name in RunConfig.__struct_fields__ if name not in NOT_AN_OPTION}
    return {name: environ[key] for key, name in names.items() if environ.get(key)}


def _checked(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """`values` converted to their fields' types ("3" -> 3), so that an error names its source."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{source}: [train] must be a table of options.")
    hints = get_type_hints(RunConfig, include_extras=True)
    converted = {}
    for name, value in values.items():
        if name not in hints or name in NOT_AN_OPTION:
            raise UsageError(f"{source}: there is no option {name!r}.", hint="See bertqa-tui --help.")
        try:
            converted[name] = msgspec.convert(value, hints[name], strict=False)
        except msgspec.ValidationError as error:
            raise UsageError(f"{source}: {flag_of(name)} {value}: {error}.") from None
    return converted
