"""`train`: fine-tune without the full screen."""

from __future__ import annotations

from typing import Any

from tui.cli.common import CONFIG, DATASET, JSON, can_move_cursor, command, start_run
from tui.options import training_options


@command(DATASET, JSON, CONFIG, *training_options())
def train(dataset: str, as_json: bool, config: str | None, **flags: Any) -> int:
    """Fine-tune with progress bars and no full screen (Slurm, CI); the exit code is the run's."""
    from engine.launch import attach as attach_run
    from tui.plain import follow

    return follow(attach_run(start_run(dataset, flags, config)), as_json=as_json, bars=can_move_cursor())
