"""The default command: fine-tune and watch, or watch a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.errors import UsageError
from tui.cli.command_line import Target
from tui.cli.common import CONFIG, SCREEN, command, show_run, start_run
from tui.options import flag_of, training_options

MEANT_FOR_A_RUN = frozenset({"runs_dir"})
"""Options of a fine-tuning that also say something of a run that exists."""


@command(
    click.Argument(["target"], metavar="[DATASET|RUN_DIR]", required=False, type=Target()),
    *SCREEN,
    CONFIG,
    *training_options(),
    name="DATASET|RUN_DIR",
)
def watch(target: str | None, config: str | None, **given: Any) -> int:
    """Fine-tune and watch, watch a run, or list the runs."""
    screen = {name: given.pop(name) for name in ("plain", "ascii_only", "theme", "look_only")} | {"config": config}
    flags = {name: value for name, value in given.items() if value is not None}
    if target is None:
        _refuse(set(flags) - MEANT_FOR_A_RUN, "without a DATASET")
        return show_run(None, runs_dir=flags.get("runs_dir"), **screen)
    from engine.rundir.layout import is_run_dir

    if is_run_dir(Path(target)):
        _refuse(set(flags) - MEANT_FOR_A_RUN, "for a run that exists")
        return show_run(Path(target), runs_dir=flags.get("runs_dir"), **screen)
    return show_run(start_run(target, flags, config), started=True, runs_dir=flags.get("runs_dir"), **screen)


def _refuse(names: set[str], where: str) -> None:
    """Raise UsageError for options that would be ignored."""
    if names:
        listed = ", ".join(sorted(flag_of(name) for name in names))
        verb = "has" if len(names) == 1 else "have"
        raise UsageError(f"{listed} {verb} no meaning {where}.", hint="Leave it out, or name a data set.")
