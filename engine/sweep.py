"""A sweep: runs on the same data that differ in seed and learning rate, started one by one and found again by name.

Each run's folder holds the plan of the whole, so that any one of them is enough to go on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.config import RunConfig
from engine.data.samples import find_dataset
from engine.errors import UsageError, UserError
from engine.launch import Run, attach, resume, start
from engine.rundir.comparison import setting_options
from engine.rundir.layout import RunDir, data_identity, list_runs, read_json
from engine.rundir.liveness import State
from engine.rundir.log import read_events
from engine.rundir.status import current_state
from engine.storage.atomic_io import replace_file

ANOTHER_NAME = "Choose another --sweep NAME."


class SweepPoint(Struct, frozen=True):
    """What tells a run of a sweep from the others."""

    seed: int
    lr: float | None = None


class SweepPlan(Struct, frozen=True):
    """sweep.json: all runs that were asked for together, and how many of them at the same time."""

    points: tuple[SweepPoint, ...]
    jobs: int = 1


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: what it is asked, and its folder where it was begun before."""

    config: RunConfig
    path: Path | None = None

    @property
    def label(self) -> str:
        """For example `lr 3e-05, seed 1`."""
        rate = "" if self.config.lr is None else f"lr {self.config.lr:g}, "
        return f"{rate}seed {self.config.seed}"

    def state(self) -> State | None:
        """How the run stands now; None where it was not begun."""
        return current_state(RunDir(self.path))[0] if self.path is not None else None


@dataclass(frozen=True)
class Sweep:
    """Runs to be made, at most `jobs` of them at the same time."""

    name: str
    runs: tuple[SweepRun, ...]
    jobs: int = 1

    @property
    def plan(self) -> SweepPlan:
        """What each run's folder keeps of the whole."""
        return SweepPlan(tuple(SweepPoint(run.config.seed, run.config.lr) for run in self.runs), self.jobs)


def plan_sweep(config: RunConfig, seeds: Sequence[int], rates: Sequence[float | None], jobs: int = 1) -> Sweep:
    """The runs of each learning rate with each seed, those of a seed together, so that a sweep that is cut short has
    compared something. Runs of the same sweep in the runs folder are taken up.

    Raises UsageError where a run of that name was made with other options or other data, and DataError where there is
    no such data set.
    """
    if config.run_dir:
        raise UsageError("--run-dir names one run, and a sweep has several.", hint="Choose their folder by --runs-dir.")
    paths = {
        name: os.path.abspath(find_dataset(value)) for name in ("dataset", "eval") if (value := getattr(config, name))
    }
    if Path(config.model).exists():
        paths["model"] = os.path.abspath(config.model)
    config = msgspec.structs.replace(config, **paths)
    name = config.sweep or _name(config)
    config = msgspec.structs.replace(config, sweep=name)
    begun: dict[SweepPoint, Path] = {}
    for run, other in runs_of_sweep(name, _runs_folder(config)):
        _refuse_other(config, other, run)
        begun[SweepPoint(other.seed, other.lr)] = run.path
    points = [SweepPoint(seed, rate) for seed in dict.fromkeys(seeds) for rate in dict.fromkeys(rates)]
    return Sweep(name, tuple(_planned(config, point, begun.get(point)) for point in points), jobs)


def find_sweep(name: str, folder: Path, jobs: int | None = None) -> Sweep:
    """The sweep of that name in a runs folder: all runs that were begun, and those that their plans name besides.

    Raises UsageError where there is none, or where its data set has changed.
    """
    begun: dict[SweepPoint, SweepRun] = {}
    missing: dict[SweepPoint, SweepRun] = {}
    plan = SweepPlan(())
    for run, config in runs_of_sweep(name, folder):
        _refuse_changed_data(run)
        begun[SweepPoint(config.seed, config.lr)] = SweepRun(config, run.path)
        plan = _plan_of(run)
        base = msgspec.structs.replace(config, run_dir=None, runs_dir=str(folder))
        missing |= {point: _planned(base, point) for point in plan.points}
    if not begun:
        raise UsageError(f"{name}: there is no such sweep in {folder}.", hint="`bertqa-tui runs` lists the runs.")
    return Sweep(name, tuple((missing | begun).values()), jobs or plan.jobs)


def begin(sweep: Sweep, planned: SweepRun, environment: Mapping[str, str], *, force: bool = False) -> tuple[Run, int]:
    """Start the run, resume it, or attach to its engine. Returns also the number of the last event known before.

    `environment` is what its engine's environment has besides this process's, to choose a device; `force` is for
    `resume`. Raises what `start` and `resume` raise.
    """
    if planned.path is None:
        run = start(planned.config, environment=environment)
        replace_file(run.directory.sweep_file, msgspec.json.encode(sweep.plan) + b"\n")
        return run, 0
    run = attach(planned.path)
    if run.is_live():
        if run.state()[0] is State.PAUSED:
            run.resume()
        return run, 0
    known = max((event.seq for event in read_events(run.directory.events_file)), default=0)
    return resume(planned.path, force=force, environment=environment), known


def _planned(config: RunConfig, point: SweepPoint, path: Path | None = None) -> SweepRun:
    return SweepRun(msgspec.structs.replace(config, seed=point.seed, lr=point.lr), path)


def _plan_of(run: RunDir) -> SweepPlan:
    """The plan that the run's folder holds; an empty one where there is none."""
    try:
        return read_json(run.sweep_file, SweepPlan)
    except UserError:
        return SweepPlan(())


def _options(config: RunConfig) -> dict[str, Any]:
    """What all runs of a sweep have in common."""
    return {name: value for name, value in setting_options(config).items() if name != "lr"}


def _name(config: RunConfig) -> str:
    """A name that the same options give again, as `remedies-1f3a5b7c`."""
    digest = hashlib.sha256(msgspec.json.encode(_options(config))).hexdigest()
    return f"{Path(config.dataset).stem[:40]}-{digest[:8]}"


def _runs_folder(config: RunConfig) -> Path:
    return Path(config.runs_dir or os.environ.get("BERTQA_RUNS_DIR") or "runs")


def runs_of_sweep(name: str, folder: Path) -> Iterator[tuple[RunDir, RunConfig]]:
    """The runs of a sweep, oldest first."""
    for path in reversed(list_runs(folder)):
        run = RunDir(path)
        try:
            config = run.config
        except UsageError:
            continue
        if config.sweep == name:
            yield run, config


def _refuse_other(config: RunConfig, other: RunConfig, run: RunDir) -> None:
    """Raise UsageError where `run`, a run of the same sweep, is not comparable with what is asked for now."""
    now, then = _options(config), _options(other)
    changed = [name for name in now if now[name] != then[name]]
    if changed:
        listed = ", ".join(f"{name} was {then[name]} and is {now[name]}" for name in changed)
        raise UsageError(
            f"the sweep {config.sweep} was made with other options ({run.name}): {listed}.", hint=ANOTHER_NAME
        )
    _refuse_changed_data(run)


def _refuse_changed_data(run: RunDir) -> None:
    """Raise UsageError where the data of a sweep's run is not what it was."""
    info = run.start_info
    for data in info.data if info is not None else ():
        if Path(data.path).is_file() and data_identity(Path(data.path)).sha256 != data.sha256:
            raise UsageError(f"{data.path} has changed since the sweep's run {run.name} was made.", hint=ANOTHER_NAME)
