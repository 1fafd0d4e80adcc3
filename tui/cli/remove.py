"""`remove` and `prune`: what is deleted, which is said and asked first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from engine.errors import ExitCode, UsageError
from tui.cli.command_line import RunName
from tui.cli.common import RUN, RUNS_DIR, command, find_run, runs_folder

if TYPE_CHECKING:
    from engine.rundir.checkpoints import KeptWeights
    from engine.rundir.layout import RunDir
    from engine.rundir.removal import Pruning

YES = click.Option(["--yes", "agreed"], is_flag=True, help="do not ask")


@command(RUN, YES, RUNS_DIR)
def remove(run: str, agreed: bool, runs_dir: str | None) -> int:
    """Delete a run's folder, after saying what goes; a live run is refused."""
    from engine.rundir.liveness import is_live
    from engine.rundir.removal import check_removable, disk_use, remove_run
    from engine.rundir.verdicts import read_verdicts
    from tui.drawing.format import value_text
    from tui.drawing.text import plain

    found = check_removable(find_run(run, runs_dir))
    if is_live(found):
        raise _at_work(found)
    size, judged = value_text(disk_use(found.path), "bytes"), len(read_verdicts(found))
    verdicts = f", with your verdicts on {judged} label{'s' if judged > 1 else ''}" if judged else ""
    click.echo(plain(f"{found.path}: {size} in all{verdicts}.", 2000))
    if not _agreed("Remove it?", agreed):
        return int(ExitCode.OK)
    remove_run(found.path)
    click.echo(plain(f"removed {found.name}, {size} freed", 2000))
    return int(ExitCode.OK)


@command(
    click.Argument(["runs"], metavar="[RUN]...", type=RunName(), nargs=-1),
    click.Option(["--keep-best"], is_flag=True, help="keep the weights of the best epoch (by F1) alone"),
    click.Option(["--force"], is_flag=True, help="also those that a run which is not finished would be resumed from"),
    YES,
    RUNS_DIR,
)
def prune(runs: tuple[str, ...], keep_best: bool, force: bool, agreed: bool, runs_dir: str | None) -> int:
    """Delete weights that are not needed, of the runs named or of all, after saying which and how much."""
    from engine.rundir.layout import RunDir, list_runs
    from engine.rundir.liveness import is_live
    from engine.rundir.removal import plan_pruning
    from engine.rundir.removal import prune as prune_run
    from tui.drawing.format import value_text
    from tui.drawing.text import plain

    if not keep_best:
        raise UsageError("say what is kept.", hint="bertqa-tui prune --keep-best keeps the best epoch's weights.")
    plans = []
    for path in [find_run(name, runs_dir) for name in runs] or list_runs(runs_folder(runs_dir)):
        found = RunDir(path)
        if is_live(found):
            if runs:
                raise _at_work(found)
            click.echo(plain(f"{found.name}: an engine is at work, left alone", 2000))
            continue
        plan = plan_pruning(found, force=force)
        for line in _plan_lines(plan):
            click.echo(plain(line, 2000))
        if plan.size:
            plans.append(plan)
    if not plans:
        click.echo("Nothing to prune.")
        return int(ExitCode.OK)
    size = value_text(sum(plan.size for plan in plans), "bytes")
    if not _agreed(f"Delete {size}?", agreed):
        return int(ExitCode.OK)
    for plan in plans:
        prune_run(plan)
    click.echo(f"{size} freed")
    return int(ExitCode.OK)


def _plan_lines(plan: Pruning) -> list[str]:
    """What goes from a run and what stays; [] where nothing goes."""
    from tui.drawing.format import value_text

    if not plan.size:
        return []
    lines = [f"{plan.run.name}: {value_text(plan.size, 'bytes')}"]
    lines += [f"  goes   {_fold_of(weights)}{weights.label}" for weights in plan.dropped]
    lines += [f"  goes   the optimizer's state of {weights.label}" for weights in plan.stateless]
    lines += [
        f"  stays  {weights.label}{', to resume from' if weights in plan.resumed_from else ''}" for weights in plan.kept
    ]
    return lines


def _fold_of(weights: KeptWeights) -> str:
    """The fold that weights are of; "" for those of the run itself."""
    from engine.rundir.folds import run_of_fold

    fold = weights.folder.parents[1]
    return f"fold {fold.name}, " if run_of_fold(fold) is not None else ""


def _agreed(question: str, agreed: bool) -> bool:
    """Whether the user agrees, in advance or now. Raises UsageError where there is nobody to ask."""
    if agreed:
        return True
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on.", hint="--yes deletes without asking.")
    if click.confirm(question, default=False):
        return True
    click.echo("Nothing was deleted.")
    return False


def _at_work(run: RunDir) -> UsageError:
    return UsageError(f"{run.path}: an engine is at work on this run.", hint="Stop it first: bertqa-tui stop.")
