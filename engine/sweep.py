"""A sweep: runs on the same data that differ in seed and learning rate, started one by one and found again by name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.config import RunConfig
from engine.data.samples import find_dataset
from engine.errors import UsageError
from engine.launch import Run, attach, resume, start
from engine.rundir.comparison import setting_options
from engine.rundir.layout import RunDir, data_identity, list_runs
from engine.rundir.liveness import State
from engine.rundir.log import read_events
from engine.rundir.status import current_state


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


def plan_sweep(config: RunConfig, seeds: Sequence[int], rates: Sequence[float | None]) -> list[SweepRun]:
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
    config = msgspec.structs.replace(config, sweep=config.sweep or _name(config))
    begun = _begun(config)
    return [
        SweepRun(msgspec.structs.replace(config, seed=seed, lr=rate), begun.get((seed, rate)))
        for seed in dict.fromkeys(seeds)
        for rate in dict.fromkeys(rates)
    ]


def begin(planned: SweepRun, environment: Mapping[str, str]) -> tuple[Run, int]:
    """Start the run, resume it, or attach to its engine. Returns also the number of the last event known before.

    `environment` is what its engine's environment has besides this process's, to choose a device. Raises what `start`
    and `resume` raise.
    """
    if planned.path is None:
        return start(planned.config, environment=environment), 0
    run = attach(planned.path)
    if run.is_live():
        if run.state()[0] is State.PAUSED:
            run.resume()
        return run, 0
    known = max((event.seq for event in read_events(run.directory.events_file)), default=0)
    return resume(planned.path, environment=environment), known


def _options(config: RunConfig) -> dict[str, Any]:
    """What all runs of a sweep have in common."""
    return {name: value for name, value in setting_options(config).items() if name != "lr"}


def _name(config: RunConfig) -> str:
    """A name that the same options give again, as `remedies-1f3a5b7c`."""
    digest = hashlib.sha256(msgspec.json.encode(_options(config))).hexdigest()
    return f"{Path(config.dataset).stem[:40]}-{digest[:8]}"


def _begun(config: RunConfig) -> dict[tuple[int, float | None], Path]:
    """Folders of the sweep's runs by seed and learning rate, the newest of each."""
    folder = Path(config.runs_dir or os.environ.get("BERTQA_RUNS_DIR") or "runs")
    found: dict[tuple[int, float | None], Path] = {}
    for path in list_runs(folder):
        run = RunDir(path)
        try:
            other = run.config
        except UsageError:
            continue
        if other.sweep != config.sweep:
            continue
        _refuse_other(config, other, run)
        found.setdefault((other.seed, other.lr), path)
    return found


def _refuse_other(config: RunConfig, other: RunConfig, run: RunDir) -> None:
    """Raise UsageError where `run`, a run of the same sweep, is not comparable with what is asked for now."""
    now, then = _options(config), _options(other)
    changed = [name for name in now if now[name] != then[name]]
    hint = "Choose another --sweep NAME."
    if changed:
        listed = ", ".join(f"{name} was {then[name]} and is {now[name]}" for name in changed)
        raise UsageError(f"the sweep {config.sweep} was made with other options ({run.name}): {listed}.", hint=hint)
    info = run.start_info
    for data in info.data if info is not None else ():
        if Path(data.path).is_file() and data_identity(Path(data.path)).sha256 != data.sha256:
            raise UsageError(f"{data.path} has changed since the sweep's run {run.name} was made.", hint=hint)
