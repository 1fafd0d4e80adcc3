"""Runs side by side: which differ in their seed alone, and the scores of each setting."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from engine.config import RunConfig, learning_options
from engine.events import Metrics, RunStarted, SnapshotTaken, Step
from engine.insight.seed_spread import Difference, Spread, spread, welch_difference
from engine.rundir.layout import RunDir
from engine.rundir.liveness import State
from engine.rundir.status import RunFollower

SCORES = ("exact_match", "f1")


class RunScore(Struct, frozen=True, kw_only=True):
    """One run and the metrics of its last snapshot (None before the first); `config` has the learning rate that was
    used where the run knows it."""

    name: str
    path: str
    state: State
    epoch: float
    config: RunConfig
    metrics: Metrics | None

    @property
    def whole(self) -> bool:
        """Whether the run is finished."""
        return self.state is State.FINISHED


class Setting(Struct, frozen=True):
    """Runs that differ in their seed alone; `label` names the options by which settings differ, as `lr 3e-05`."""

    label: str
    runs: tuple[RunScore, ...]

    def values(self, score: str) -> list[float]:
        """The score (a field of Metrics) for each seed, in the order of seeds; runs with one seed count as their
        mean."""
        by_seed: dict[int, list[float]] = {}
        for run in self.runs:
            value = getattr(run.metrics, score) if run.metrics is not None else None
            if value is not None:
                by_seed.setdefault(run.config.seed, []).append(value)
        return [sum(found) / len(found) for _, found in sorted(by_seed.items())]

    def spread(self, score: str) -> Spread | None:
        """Mean and spread of the score over seeds; None where no run has a score."""
        values = self.values(score)
        return spread(values) if values else None


def read_score(run: RunDir) -> RunScore:
    """What the run has scored by now. Raises UsageError where its config can't be read."""
    look = RunFollower(run, patience=0.0).poll_all()
    config, metrics, epoch = run.config, None, 0.0
    for event in look.events:
        match event:
            case RunStarted():
                config = used_config(config, event)
            case SnapshotTaken(sampled_of=None):
                metrics, epoch = event.metrics, max(epoch, event.epoch)
            case Step():
                epoch = max(epoch, event.epoch)
            case _:
                pass
    return RunScore(name=run.name, path=str(run.path), state=look.state, epoch=epoch, config=config, metrics=metrics)


def used_config(config: RunConfig, started: RunStarted | None) -> RunConfig:
    """The config with the learning rate and model that were used, where the run was started."""
    return config if started is None else msgspec.structs.replace(config, lr=started.lr, model=started.model)


def run_labels(configs: Sequence[RunConfig], names: Sequence[str]) -> list[str]:
    """What tells runs apart: the options by which they differ and the seed, or else their names."""
    labels = _labels([setting_options(config) for config in configs])
    if len({config.seed for config in configs}) > 1:
        labels = [", ".join(filter(None, (label, f"seed {c.seed}"))) for label, c in zip(labels, configs, strict=True)]
    return labels if len(set(labels)) == len(names) else list(names)


def setting_labels(configs: Sequence[RunConfig]) -> list[str]:
    """What tells the settings of these runs apart, one label for each run; equal ones for runs of one setting."""
    return _labels([setting_options(config) for config in configs])


def settings_of(scores: Iterable[RunScore]) -> list[Setting]:
    """The runs by setting, the highest mean F1 first; settings without a score come last."""
    groups: dict[bytes, list[RunScore]] = {}
    for score in scores:
        groups.setdefault(msgspec.json.encode(setting_options(score.config)), []).append(score)
    options = [setting_options(runs[0].config) for runs in groups.values()]
    labels = _labels(options)
    found = [Setting(label, tuple(runs)) for label, runs in zip(labels, groups.values(), strict=True)]
    return sorted(found, key=lambda setting: -(s.mean if (s := setting.spread("f1")) is not None else -1.0))


def setting_options(config: RunConfig) -> dict[str, Any]:
    """The options that make a setting, by name: all that change learning, but the seed."""
    return {name: value for name, value in learning_options(config).items() if name != "seed"}


def difference(better: Setting, other: Setting, score: str = "f1") -> Difference | None:
    """How far the means of two settings are apart; None where one has no score."""
    first, second = better.values(score), other.values(score)
    return welch_difference(first, second) if first and second else None


def same_data(settings: Sequence[Setting]) -> bool:
    """Whether all runs are scored on the same files and examples, as far as their options say."""
    names = ("dataset", "eval", "eval_fraction", "columns", "f1", "snapshot_limit")
    return len({tuple(getattr(run.config, name) for name in names) for s in settings for run in s.runs}) <= 1


def _labels(options: Sequence[dict[str, Any]]) -> list[str]:
    """What tells these settings apart, in words; "" for a setting alone."""
    varying = [name for name in options[0] if len({repr(option[name]) for option in options}) > 1] if options else []
    return [", ".join(f"{name.replace('_', ' ')} {_text(option[name])}" for name in varying) for option in options]


def _text(value: Any) -> str:
    match value:
        case None:
            return "default"
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:g}"
        case str() if os.path.isabs(value):
            return os.path.basename(value)
        case _:
            return str(value)
