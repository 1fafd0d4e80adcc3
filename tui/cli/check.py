"""`check`: read and validate a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tui.cli.common import CONFIG, DATASET, command, config_of
from tui.options import GroupedOption, training_options

CHECK_OPTIONS = frozenset(
    {
        "columns",
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


@command(
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
    from tui.plain.findings import print_check

    return print_check(config_of(dataset, flags, config), repair=Path(repair) if repair else None, as_json=as_json)
