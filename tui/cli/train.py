"""`train`: fine-tune without the full screen, once or once for each seed and learning rate."""

from __future__ import annotations

from typing import Any

import click

from engine.config import GROUPS
from engine.errors import UsageError
from tui.cli.common import CONFIG, DATASET, JSON, can_move_cursor, command, config_of, start_run
from tui.options import GroupedOption, training_options

LIST = ","


def _options() -> list[click.Parameter]:
    """The options of a fine-tuning; the learning rate may be a list."""
    options = training_options()
    for option in options:
        if option.name == "lr" and isinstance(option, click.Option):
            option.metavar, option.help = "X[,X…]", f"{option.help}; a list: a run for each"
    return options


@command(
    DATASET,
    GroupedOption(["--seeds"], GROUPS["training"], metavar="N[,N…]", help="a run for each of these seeds, one by one"),
    GroupedOption(
        ["--jobs"],
        GROUPS["machine"],
        metavar="N",
        type=click.IntRange(min=1),
        help="runs of a sweep at the same time, each on a GPU of its own (1)",
    ),
    JSON,
    CONFIG,
    *_options(),
)
def train(dataset: str, seeds: str | None, jobs: int | None, as_json: bool, config: str | None, **flags: Any) -> int:
    """Fine-tune with progress bars and no full screen (Slurm, CI); the exit code is the run's."""
    if seeds is not None or LIST in (flags["lr"] or ""):
        from tui.cli.sweep import sweep

        return sweep(dataset, flags, config, seeds=seeds, jobs=jobs or 1, as_json=as_json)
    if jobs is not None:
        raise UsageError("--jobs has no meaning for one run.", hint="Give several --seeds or a list of --lr.")
    wanted = config_of(dataset, flags, config)
    if wanted.nnodes > 1:
        from engine.launch import prepare
        from tui.cli.machines import print_start

        return print_start(prepare(wanted), as_json=as_json)
    path = start_run(dataset, flags, config)
    from engine.launch import attach as attach_run
    from tui.plain.follow import follow

    return follow(attach_run(path), as_json=as_json, bars=can_move_cursor())
