"""Removes a run, or the weights of a run that are not needed any more; never while an engine is at work on it."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError
from engine.rundir.checkpoints import KeptWeights, best_kept, drop_state, kept_weights
from engine.rundir.folds import begun_folds, is_finished, refuse_fold
from engine.rundir.layout import TRACKERS, RunDir, is_run_dir
from engine.rundir.liveness import State
from engine.rundir.ownership import without_engine
from engine.rundir.status import current_state
from engine.storage.atomic_io import check_own_folder, empty_out, raises_write_error, remove_folder, set_aside

TEMPORARY = re.compile(r"\..*\.(tmp|old)|\.nfs\w+")
"""What a killed writer left half done, and what a network file system keeps of a file that is still open."""


@dataclass(frozen=True)
class Pruning:
    """What pruning takes from a run: whole checkpoints, and the optimizer's state of others.

    `kept` are the checkpoints that stay, `resumed_from` those of them that stay so that the run can be resumed.
    """

    run: RunDir
    kept: tuple[KeptWeights, ...]
    resumed_from: tuple[KeptWeights, ...]
    dropped: tuple[KeptWeights, ...]
    stateless: tuple[KeptWeights, ...]

    @property
    def size(self) -> int:
        """Bytes that become free."""
        whole = sum(entry.size for weights in self.dropped for entry in weights.manifest.files.values())
        states = sum(
            entry.size
            for weights in self.stateless
            for name, entry in weights.manifest.files.items()
            if name not in weights.manifest.model_files
        )
        return whole + states


def disk_use(folder: Path) -> int:
    """Bytes that a folder takes on the disk, as `du` counts: blocks, a file of several names once, links not followed.

    What can't be read, or goes away meanwhile, is left out.
    """
    total, seen, waiting = 0, set(), [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                        seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(Path(entry.path))
        except OSError:
            continue
    return total


def check_removable(path: Path) -> RunDir:
    """The run in the folder `path`, if it may be removed.

    Raises UsageError where `path` is no run's folder, a fold's, a symbolic link, or holds what no run writes;
    WriteError where it is not this user's. Does not look for an engine.
    """
    refuse_fold(path)
    if path.is_symlink():
        raise UsageError(f"{path}: a symbolic link, which is not followed.", hint="Name the run's folder itself.")
    if not is_run_dir(path):
        raise UsageError(f"{path}: not the folder of a run.", hint="`bertqa-tui runs` lists them.")
    run = RunDir(path)
    with raises_write_error(run.path):
        check_own_folder(run.path)
        names = sorted(os.listdir(run.path))
    own = {value.name for value in vars(run).values() if isinstance(value, Path) and value.parent == run.path}
    own |= {file.name for tool in TRACKERS for file in run.tracker_files(tool)}
    foreign = [name for name in names if name not in own and not TEMPORARY.fullmatch(name)]
    if foreign:
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        raise UsageError(
            f"{path}: holds what the run did not write: {', '.join(foreign[:5])}{more}.",
            hint="Move or delete that first.",
        )
    return run


def remove_run(path: Path) -> None:
    """Delete the folder of a run. Its name goes first, so that the run is never seen in part.

    Raises as `check_removable`; UsageError, and nothing is deleted, where an engine is at work on it.
    """
    run = check_removable(path)
    with without_engine(run):
        doomed = set_aside(run.path)
    empty_out(doomed)  # with the lock's file closed: a network file system keeps an open one in its folder


def plan_pruning(run: RunDir, *, force: bool = False) -> Pruning:
    """What goes where only the weights of the best epoch stay: that of the highest F1 among those kept.

    A run that can be resumed keeps the checkpoints to resume it from, unless `force`. Half-written checkpoints are
    left alone: resuming writes them again. What finished folds have found stays, and their weights go.
    """
    weights = kept_weights(run)
    if not weights:
        return Pruning(run, (), (), (), ())
    best = best_kept(run).folder
    goes_on = not force and current_state(run)[0] is not State.FINISHED
    resumed_from = tuple(kept for kept in weights if goes_on and kept.manifest.resumable)
    folders = {best, *(kept.folder for kept in resumed_from)}
    return Pruning(
        run,
        kept=tuple(kept for kept in weights if kept.folder in folders),
        resumed_from=resumed_from,
        dropped=(*(kept for kept in weights if kept.folder not in folders), *_weights_of_folds(run)),
        stateless=tuple(
            kept for kept in weights if kept.folder in folders and kept.manifest.resumable and kept not in resumed_from
        ),
    )


def _weights_of_folds(run: RunDir) -> list[KeptWeights]:
    """Those of the folds that are finished."""
    return [weights for fold in begun_folds(run) if is_finished(fold) for weights in kept_weights(fold)]


def prune(plan: Pruning) -> None:
    """Do it. Raises UsageError, and nothing goes, where an engine is at work on the run or its checkpoints have
    changed since; WriteError."""
    with raises_write_error(plan.run.checkpoints):
        check_own_folder(plan.run.path)
        check_own_folder(plan.run.checkpoints)
    with without_engine(plan.run):
        weights = (*kept_weights(plan.run), *_weights_of_folds(plan.run))
        now = {kept.folder: kept.manifest for kept in weights}
        if now != {kept.folder: kept.manifest for kept in (*plan.kept, *plan.dropped)}:
            raise UsageError(f"{plan.run.path}: its checkpoints have changed meanwhile.", hint="Look again.")
        for kept in plan.stateless:
            drop_state(kept.folder, kept.manifest)
        for kept in plan.dropped:
            remove_folder(kept.folder)
