"""Command-line options of a fine-tuning: made from RunConfig, merged with environment and config files."""

from __future__ import annotations

import argparse
import os
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import platformdirs

from engine.config import RunConfig, config_from, option_descriptions
from engine.errors import UsageError

ENV_PREFIX = "BERTQA_"
NOT_AN_OPTION = frozenset({"dataset"})
OPTION_NAMES = frozenset(RunConfig.__struct_fields__) - NOT_AN_OPTION


def user_config_file() -> Path:
    """The user's own TOML file; it need not exist."""
    return Path(platformdirs.user_config_dir("bertqa-tui")) / "config.toml"


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` one flag for each field of RunConfig; a flag that is not given leaves no value behind."""
    descriptions = option_descriptions()
    defaults = RunConfig(dataset="-")
    for name, kind in get_type_hints(RunConfig).items():
        if name in NOT_AN_OPTION:
            continue
        flag, description = f"--{name.replace('_', '-')}", descriptions[name]
        default = getattr(defaults, name)
        if kind is bool:
            parser.add_argument(
                flag,
                dest=name,
                action=argparse.BooleanOptionalAction if default else "store_true",
                default=argparse.SUPPRESS,
                help=description,
            )
            continue
        choices = get_args(kind) if get_origin(kind) is Literal else None
        parser.add_argument(
            flag,
            dest=name,
            choices=choices,
            metavar=None if choices else _metavar(name, kind),
            default=argparse.SUPPRESS,
            help=description if default is None else f"{description} ({default})",
        )


def _metavar(name: str, kind: Any) -> str:
    members = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if int in members:
        return "N"
    if float in members:
        return "X"
    return {"probe": "ID|QUESTION", "model": "ID|PATH", "eval": "FILE"}.get(name, name.rsplit("_", 1)[-1].upper())


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
    values |= _checked({k: v for k, v in flags.items() if k in OPTION_NAMES}, "the command line")
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
    """`values` converted to their fields' types ("3" -> 3), so that a fault is told with its source."""
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
            raise UsageError(f"{source}: --{name.replace('_', '-')} {value}: {error}.") from None
    return converted
