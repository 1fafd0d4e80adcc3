"""When snapshots are taken, and taking one: score all eval windows, decode, write, announce."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from engine.errors import DataError
from engine.events import Metrics, Phase, Warned
from engine.insight.margins import gold_spans, margin_columns
from engine.insight.metrics import Golds
from engine.insight.scoring import prepared, score_snapshot
from engine.learning.control import Control
from engine.learning.evaluation import score_windows
from engine.learning.prepare import Emit, Task
from engine.learning.steps import Learner, Plan
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, SnapshotInfo, snapshot_event, snapshot_name, write_snapshot

EARLY_SHARE = 0.2
TRAINING_COST = 3.0
"""Learning from a token costs about three times as much as scoring it: forward, and twice that backward."""
FREE_TOKENS = 250_000
"""Early snapshots that score no more tokens than this in all take seconds: they are always taken."""


def plan_snapshots(plan: Plan, *, early: bool, train_tokens: int, eval_tokens: int) -> dict[int, tuple[int, str]]:
    """Step -> (index, label) of every snapshot of a run: untrained, early in the first epoch, after every epoch.

    The early ones lie at steps 1, 2, 4, 8 …; where they would take more than a fifth of the epoch's time, at
    powers of a larger number. Cost is estimated from token counts, so that a run has the same snapshots
    wherever it runs.
    """
    labels = {0: "untrained"}
    if early:
        budget = max(EARLY_SHARE * TRAINING_COST * train_tokens, FREE_TOKENS)
        for factor in (2, 4, 8, 16, 32, 64):
            steps = [s for s in (factor**n for n in range(64)) if s < plan.steps_per_epoch]
            if len(steps) * eval_tokens <= budget:
                labels |= {step: f"step {step}" for step in steps}
                break
    labels |= {epoch * plan.steps_per_epoch: f"epoch {epoch}" for epoch in range(1, plan.epochs + 1)}
    return {step: (index, labels[step]) for index, step in enumerate(sorted(labels))}


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
    planned: dict[int, tuple[int, str]]
    emit: Emit
    control: Control
    announced: set[int] = field(default_factory=set)
    """Indices that the log has already."""

    def __post_init__(self) -> None:
        self._golds: Golds = prepared(self.task.examples, allow_null=self.task.allow_null, f1=self.run.config.f1)
        self._gold_spans = gold_spans(self.task.examples, self.task.eval)

    def take(self, learner: Learner) -> bool:
        """Take the snapshot planned for this step, if there is one; one that is whole on disk and announced is kept.

        Returns whether any work was done. Raises WriteError.
        """
        if learner.step not in self.planned:
            return False
        index, label = self.planned[learner.step]
        if index in self.announced and self._whole(index, learner.step):
            return False
        epoch = learner.plan.epoch_at(learner.step)
        started = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal started
            if done == total or time.monotonic() - started > 0.5:
                started = time.monotonic()
                self.emit(Phase(name="evaluating", detail=label, done=done, total=total))
            self.control.between_phases()

        self.emit(Phase(name="evaluating", detail=label))
        start, end = score_windows(learner.model, self.task.eval, group=learner.group, progress=progress)
        if learner.group.rank == 0:
            columns, metrics, seen, unseen = score_snapshot(
                self.task.examples,
                self.task.eval,
                start,
                end,
                max_answer_length=self.task.max_answer_length,
                allow_null=self.task.allow_null,
                seen=self.task.seen,
                golds=self._golds,
            )
            columns |= margin_columns(
                self.task.eval,
                self._gold_spans,
                start,
                end,
                max_answer_length=self.task.max_answer_length,
                allow_null=self.task.allow_null,
            )
            info = SnapshotInfo(
                index=index, label=label, step=learner.step, epoch=epoch, time=time.time(),
                metrics=metrics, seen=seen, unseen=unseen,
            )  # fmt: skip
            write_snapshot(self.run.path, info, start, end, columns)
            self.emit(snapshot_event(info))
            if (warning := no_answer_warning(label, metrics, columns["pred_char_start"])) and learner.step > 0:
                self.emit(warning)
        self.announced.add(index)
        return True

    def metrics_at(self, step: int) -> Metrics | None:
        """Metrics of the snapshot of `step`, from its file; None where there is none."""
        if step not in self.planned:
            return None
        try:
            with Snapshot(self.run.path / snapshot_name(self.planned[step][0])) as snapshot:
                return snapshot.info.metrics
        except (OSError, DataError):
            return None

    def best_epoch_step(self, plan: Plan, step: int) -> int | None:
        """Step of the epoch up to `step` with the highest F1 (the latest of equals); None before the first."""
        scored = [
            (metrics.f1, at)
            for at in range(plan.steps_per_epoch, step + 1, plan.steps_per_epoch)
            if (metrics := self.metrics_at(at)) is not None
        ]
        return max(scored)[1] if scored else None

    def _whole(self, index: int, step: int) -> bool:
        try:
            with Snapshot(self.run.path / snapshot_name(index)) as snapshot:
                return snapshot.info.step == step
        except (OSError, DataError):
            return False
