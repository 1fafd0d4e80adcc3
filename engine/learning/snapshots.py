"""When snapshots are taken, and taking one: score all eval windows, decode, write, announce."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import F1Units, scores_training
from engine.data.examples import Example
from engine.data.features import Features
from engine.data.run_data import find_probe
from engine.data.sample import Sample, even_numbers, glance, take_sample
from engine.errors import DataError
from engine.events import Metrics, Phase, Warned
from engine.insight.calibration import Calibration, calibrate
from engine.insight.dynamics import counts
from engine.insight.margins import gold_spans, margin_columns
from engine.insight.scoring import prepared, score_snapshot
from engine.learning.checkpoint import checkpoint_name
from engine.learning.control import Control
from engine.learning.evaluation import FloatArray, score_windows
from engine.learning.prepare import Emit, Task
from engine.learning.schedule import Plan
from engine.learning.steps import Learner
from engine.rundir.calibration import write_calibration
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import (
    Snapshot,
    SnapshotInfo,
    snapshot_event,
    snapshot_name,
    write_snapshot,
    write_train_snapshot,
)

EARLY_SHARE = 0.2
TRAINING_COST = 3.0
"""Learning from a token costs about three times as much as scoring it: forward, and twice that backward."""
FREE_TOKENS = 250_000
"""Early snapshots that score no more tokens than this in all take seconds: they are always taken."""


@dataclass(frozen=True)
class Planned:
    """A snapshot that will be taken, of all eval examples or of a sample."""

    index: int
    label: str
    sampled: bool = False


def plan_snapshots(
    plan: Plan, *, early: bool, train_tokens: int, eval_tokens: int, sample_tokens: int | None = None
) -> dict[int, Planned]:
    """Step -> every snapshot of a run: untrained, early in the first epoch, after every epoch.

    The early ones lie at steps 1, 2, 4, 8 …; where they would take more than a fifth of the epoch's time, at
    powers of a larger number, and at the steps between them a sample of `sample_tokens` is scored, where there is one.
    Cost is estimated from token counts, so that a run has the same snapshots wherever it runs.
    """
    labels = {0: "untrained"}
    sampled: set[int] = set()
    if early:
        budget = max(EARLY_SHARE * TRAINING_COST * train_tokens, FREE_TOKENS)
        steps = _early_steps(plan.steps_per_epoch, eval_tokens, budget, frozenset())
        if sample_tokens is not None:
            left = budget - len(steps) * eval_tokens
            sampled = _early_steps(plan.steps_per_epoch, sample_tokens, left, steps)
        labels |= {step: f"step {step}" for step in steps | sampled}
    labels |= {epoch * plan.steps_per_epoch: f"epoch {epoch}" for epoch in range(1, plan.epochs + 1)}
    return {step: Planned(index, labels[step], step in sampled) for index, step in enumerate(sorted(labels))}


def numbered_as_stored(planned: Mapping[int, Planned], stored: Sequence[SnapshotInfo]) -> dict[int, Planned]:
    """The plan with the numbers that snapshots have on disk, and for those to come numbers after them: another version
    may have planned fewer or more, and its snapshots are neither taken twice nor written over."""
    index_of = {info.step: info.index for info in stored}
    numbered: dict[int, Planned] = {}
    last = -1
    for step in sorted(planned):
        last = max([last, *(index for at, index in index_of.items() if at < step)])
        index = index_of.get(step, max(planned[step].index, last + 1))
        numbered[step], last = replace(planned[step], index=index), index
    return numbered


def _early_steps(steps_per_epoch: int, tokens: int, budget: float, taken: Set[int]) -> set[int]:
    """Steps inside the first epoch, as dense as `budget` allows, that are not `taken` yet; each scores `tokens`."""
    for factor in (2, 4, 8, 16, 32, 64):
        steps = {step for step in (factor**n for n in range(64)) if step < steps_per_epoch and step not in taken}
        if len(steps) * tokens <= budget:
            return steps
    return set()


def no_answer_warning(label: str, metrics: Metrics, answer_start: NDArray[Any]) -> Warned | None:
    """A warning where the model predicts "no answer" for every question, though some have one: EM and F1 are then
    the share of unanswerable questions. `answer_start` is the column `pred_char_start`."""
    if (answer_start >= 0).any() or metrics.has_answer_exact_match != 0.0:
        return None
    return Warned(
        message=f'{label}: the model predicts "no answer" for all {len(answer_start):,} questions; '
        f"EM {metrics.exact_match:.1f} is the share of questions without an answer.",
        hint="Early in training that is usual; where it stays, more epochs, a higher --lr or more answerable "
        "questions help.",
    )


@dataclass
class Snapshots:
    """Takes the planned snapshots of a run. In a group of processes all score, and the first writes."""

    run: RunDir
    task: Task
    planned: dict[int, Planned]
    emit: Emit
    control: Control
    announced: set[int] = field(default_factory=set)
    """Indices that the log has already."""

    def __post_init__(self) -> None:
        config, dataset = self.run.config, self.task.dataset
        self._train = _Half(dataset.train, self.task.train, self.task, config.f1) if scores_training(config) else None
        self._train_taken = {
            planned.index
            for step, planned in self.planned.items()
            if self._train and self._on_disk(planned.index, step, train=True)
        }

    @cached_property
    def _eval(self) -> _Half:
        return _Half(self.task.dataset.eval, self.task.eval, self.task, self.run.config.f1)

    def _of(self, sample: Sample) -> _Half:
        examples = [self.task.dataset.eval[number] for number in sample.examples.tolist()]
        return _Half(examples, sample.features, self.task, self.run.config.f1)

    def take(self, learner: Learner) -> bool:
        """Take the snapshot planned for this step, if there is one; one that is whole on disk and announced is kept.

        Of a large set, or on a slow machine, samples are scored first before training, so that there soon is something
        to look at. With the options `track_train` and `folds` the training examples are scored too after each epoch.
        Returns whether any work was done. Raises WriteError.
        """
        if learner.step not in self.planned:
            return False
        planned, group = self.planned[learner.step], learner.group

        def wanted(missing: bool) -> bool:
            """What rank 0 sees counts: a network file system may show the others an older state."""
            return bool(group.highest(int(missing and group.rank == 0)))

        worked = False
        index, step = planned.index, learner.step
        if wanted(index not in self.announced or not self._on_disk(index, step, sampled=planned.sampled)):
            if wanted(index == 0 and not self._on_disk(0, 0, sampled=True)):
                for sample in self.task.looks or self._glance(learner):
                    self._take(learner, planned, sample)
            self._take(learner, planned, self.task.sample if planned.sampled else None)
            worked = True
        if self._train and counts(learner.plan.epoch_at(step)) and wanted(index not in self._train_taken):
            self._take_train(learner, self._train, index, planned.label)
            worked = True
        return worked

    def _glance(self, learner: Learner) -> tuple[Sample, ...]:
        """A first sample of a set that is not large, where this machine needs long for it: one example is timed."""
        features, examples = self.task.eval, self.task.dataset.eval
        probe = find_probe(examples, self.run.config.probe)
        one = take_sample(features, len(examples), even_numbers(len(examples), 1, probe)).features
        seconds = inf
        for _ in range(2):  # the first pass also chooses kernels
            began = time.monotonic()
            score_windows(learner.model, one, group=learner.group, max_windows=self.run.config.eval_batch_size)
            seconds = min(seconds, time.monotonic() - began)
        whole = seconds * len(features.input_ids) / len(one.input_ids)
        return glance(features, len(examples), learner.group.highest(round(whole)), probe)

    def _take(self, learner: Learner, planned: Planned, sample: Sample | None) -> None:
        index, label = planned.index, planned.label
        half, seen = self._eval, self.task.seen
        what = label
        if sample is not None:
            half, seen = self._of(sample), seen[sample.examples]
            what = f"{label}, {len(sample.examples):,} of {sample.total:,}"
        start, end = self._score(learner, half.features, what)
        if learner.group.rank == 0:
            columns, metrics, seen_metrics, unseen_metrics = half.columns(start, end, seen=seen)
            info = SnapshotInfo(
                index=index, label=label, step=learner.step, epoch=learner.plan.epoch_at(learner.step),
                time=time.time(), metrics=metrics, seen=seen_metrics, unseen=unseen_metrics,
                sampled_of=sample.total if sample is not None else None,
            )  # fmt: skip
            calibration = self._calibration(learner, start, end)
            dtype = self.run.config.snapshot_dtype
            write_snapshot(self.run.path, info, start, end, columns, calibration, dtype=dtype, sample=sample)
            if calibration is not None:
                self._keep_beside_weights(learner, calibration)
            self.emit(snapshot_event(info))
            if (warning := no_answer_warning(label, metrics, columns["pred_char_start"])) and learner.step > 0:
                self.emit(warning)
        self.announced.add(index)

    def _take_train(self, learner: Learner, train: _Half, index: int, label: str) -> None:
        start, end = self._score(learner, self.task.train, f"{label}, training examples")
        if learner.group.rank == 0:
            columns, metrics, _, _ = train.columns(start, end)
            info = SnapshotInfo(
                index=index, label=label, step=learner.step, epoch=learner.plan.epoch_at(learner.step),
                time=time.time(), metrics=metrics,
            )  # fmt: skip
            write_train_snapshot(self.run.path, info, columns)
        self._train_taken.add(index)

    def _score(self, learner: Learner, features: Features, what: str) -> tuple[FloatArray, FloatArray]:
        """Scores of all tokens, with progress."""
        started = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal started
            if done == total or time.monotonic() - started > 0.5:
                started = time.monotonic()
                self.emit(Phase(name="evaluating", detail=what, done=done, total=total))
            self.control.between_phases()

        self.emit(Phase(name="evaluating", detail=what))
        return score_windows(
            learner.model,
            features,
            group=learner.group,
            max_windows=self.run.config.eval_batch_size,
            progress=progress,
            together=self.control.together,
        )

    def _calibration(self, learner: Learner, start: FloatArray, end: FloatArray) -> Calibration | None:
        """How far the probabilities of an epoch's model can be trusted; None inside an epoch."""
        if learner.step == 0 or learner.step % learner.plan.steps_per_epoch:
            return None
        return self._eval.calibration(start, end, learner.step)

    def _keep_beside_weights(self, learner: Learner, calibration: Calibration) -> None:
        folder = self.run.path / checkpoint_name(learner.step, learner.plan.steps_per_epoch)
        if folder.is_dir():
            write_calibration(folder, calibration)

    def metrics_at(self, step: int) -> Metrics | None:
        """Metrics of the snapshot of `step`, from its file; None where there is none."""
        if step not in self.planned:
            return None
        try:
            with Snapshot(self.run.path / snapshot_name(self.planned[step].index)) as snapshot:
                return snapshot.info.metrics if snapshot.info.step == step else None
        except (OSError, DataError):
            return None

    def best_epoch_step(self, plan: Plan, step: int) -> int | None:
        """Step of the epoch up to `step` with the highest F1 (the latest of equals); None before the first."""
        scored = self._scored_epochs(plan, step)
        return max((f1, at) for at, f1 in scored.items())[1] if scored else None

    def epochs_without_better(self, plan: Plan, step: int) -> int:
        """How many of the last epochs up to `step` have no higher F1 than the best one before them."""
        f1 = [*self._scored_epochs(plan, step).values()]
        return len(f1) - 1 - f1.index(max(f1)) if f1 else 0

    def _scored_epochs(self, plan: Plan, step: int) -> dict[int, float]:
        """F1 after each whole epoch up to `step`, by step, where there is a snapshot."""
        return {
            at: metrics.f1
            for at in range(plan.steps_per_epoch, step + 1, plan.steps_per_epoch)
            if (metrics := self.metrics_at(at)) is not None
        }

    def _on_disk(self, index: int, step: int, *, train: bool = False, sampled: bool = False) -> bool:
        """Whether there is a snapshot with this number, of all examples or, with `sampled`, of some at least."""
        try:
            with Snapshot(self.run.path / snapshot_name(index, train=train), train=train) as snapshot:
                return snapshot.info.step == step and (sampled or snapshot.info.sampled_of is None)
        except (OSError, DataError):
            return False


class _Half:
    """The examples of a half of the data, with what their columns need that is the same at every snapshot."""

    def __init__(self, examples: Sequence[Example], features: Features, task: Task, f1: F1Units) -> None:
        self._examples, self.features = examples, features
        self._longest, self._allow_null = task.max_answer_length, task.allow_null
        self._golds = prepared(examples, allow_null=task.allow_null, f1=f1)
        self._spans = gold_spans(examples, features)

    def columns(
        self, start: FloatArray, end: FloatArray, *, seen: NDArray[np.bool_] | None = None
    ) -> tuple[dict[str, NDArray[Any]], Metrics, Metrics | None, Metrics | None]:
        """All columns of a snapshot, and the metrics of `score_snapshot`."""
        options: Any = {"max_answer_length": self._longest, "allow_null": self._allow_null}
        columns, metrics, seen_metrics, unseen_metrics = score_snapshot(
            self._examples, self.features, start, end, seen=seen, golds=self._golds, **options
        )
        columns |= margin_columns(self.features, self._spans, start, end, **options)
        return columns, metrics, seen_metrics, unseen_metrics

    def calibration(self, start: FloatArray, end: FloatArray, step: int) -> Calibration:
        """How far the probabilities of the model after `step` steps can be trusted."""
        return calibrate(
            self._examples,
            self.features,
            start,
            end,
            self._golds,
            step=step,
            max_answer_length=self._longest,
            allow_null=self._allow_null,
        )
