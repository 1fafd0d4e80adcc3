"""`pause`, `stop` and `resume`: what is asked of a run's engine."""

from __future__ import annotations

from typing import Any

import click

from engine.errors import ExitCode, UsageError
from tui.cli.common import (
    JSON,
    RUN,
    RUNS_DIR,
    SCREEN,
    can_draw,
    can_move_cursor,
    command,
    find_run,
    runs_folder,
    runs_of,
    send,
    show_run,
)


@command(RUN, RUNS_DIR)
def pause(run: str, runs_dir: str | None) -> int:
    """Ask a live run to pause after the current step."""
    return send(find_run(run, runs_dir), "pause")


@command(RUN, RUNS_DIR)
def stop(run: str, runs_dir: str | None) -> int:
    """Ask a live run to save a checkpoint and stop; `resume` continues it."""
    return send(find_run(run, runs_dir), "stop")


@command(
    RUN,
    click.Option(["--force"], is_flag=True, help="resume although the data set, the model or versions changed"),
    click.Option(["--detach"], is_flag=True, help="return once the engine is started"),
    click.Option(
        ["--jobs"],
        metavar="N",
        type=click.IntRange(min=1),
        help="of a sweep: runs at the same time (as it began)",
    ),
    JSON,
    *SCREEN,
    RUNS_DIR,
)
def resume(
    run: str, force: bool, detach: bool, jobs: int | None, as_json: bool, runs_dir: str | None, **screen: Any
) -> int:
    """Continue a run that is paused, was stopped, or died, or by its name all that is left of a sweep."""
    try:
        path = find_run(run, runs_dir)
    except UsageError:
        if not runs_of(run, runs_dir):
            raise
        return _resume_sweep(run, runs_dir, detach=detach, jobs=jobs, force=force, as_json=as_json)
    if jobs is not None:
        raise UsageError("--jobs has no meaning for one run.", hint="Name a sweep.")
    from engine.launch import attach as attach_run
    from engine.launch import resume as resume_run
    from engine.rundir.log import read_events

    watched = attach_run(path)
    if watched.is_live():
        return send(path, "resume")
    known = max((event.seq for event in read_events(watched.directory.events_file)), default=0)
    if watched.directory.config.nnodes > 1:
        from engine.launch import resumable
        from tui.cli.machines import print_start

        return print_start(resumable(path, force=force), as_json=as_json)
    resumed = resume_run(path, force=force)
    if detach:
        click.echo(f"resumed {resumed.path}")
        return int(ExitCode.OK)
    if as_json or not can_draw(plain=screen["plain"]):
        from tui.plain.follow import follow

        return follow(resumed, as_json=as_json, bars=can_move_cursor(plain=screen["plain"]), after=known)
    return show_run(resumed.path, started=True, runs_dir=runs_dir, **screen)


def _resume_sweep(
    name: str, runs_dir: str | None, *, detach: bool, jobs: int | None, force: bool, as_json: bool
) -> int:
    if detach:
        raise UsageError("--detach has no meaning for a sweep: this command works its runs.", hint="Use nohup.")
    from tui.cli.sweep import resume_sweep

    return resume_sweep(name, runs_folder(runs_dir), jobs=jobs, force=force, as_json=as_json)
