"""A run from its first event to its last, as one story: read `fine_tune` from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from engine.config import RunConfig
from engine.errors import UserError
from engine.events import Finished, Phase, SnapshotTaken, Warned
from engine.learning import checkpoint
from engine.learning.batches import epoch_batches
from engine.learning.control import Control, StopAsked
from engine.learning.describe import disk_plan, run_info, started_event, step_event
from engine.learning.distributed import Group
from engine.learning.encoder.freeze import freeze_layers
from engine.learning.encoder.load import choose_device, choose_precision, load_model
from engine.learning.encoder.packed import PackedEncoder
from engine.learning.prepare import Emit, Task, write_task
from engine.learning.reading_order import check_reading_order
from engine.learning.schedule import make_plan
from engine.learning.snapshots import Planned, Snapshots, numbered_as_stored, plan_snapshots
from engine.learning.steps import Learner, StepValues, Windows
from engine.rundir.checkpoints import Manifest, checkpoints, snapshot_infos
from engine.rundir.disk_plan import check_room
from engine.rundir.layout import RunDir
from engine.rundir.log import read_events

KINDS = ("cpu", "mps", "cuda")
T = TypeVar("T")
SHARED_SECONDS, SHARED_LOOK_SECONDS = 60.0, 0.5
"""How long a network file system may take to show a file to another machine."""


class NotFinite(UserError):
    """The loss or a gradient was no finite number; the weights from before are kept."""


@dataclass(frozen=True)
class Session:
    """What a process needs to work on a run."""

    run: RunDir
    config: RunConfig
    group: Group
    control: Control
    emit: Emit

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.group.rank == 0


def fine_tune(session: Session, task: Task) -> Finished:
    """Fine-tune from wherever the run stands to its end, and emit what happens; the run's last event is returned.

    Raises UserError, NotFinite, StopAsked, WriteError.
    """
    config, group, control, emit = session.config, session.group, session.control, session.emit
    began = time.monotonic()

    # Load: the model as it was, or as the newest whole checkpoint has it.
    if session.is_first:
        write_task(session.run, task)
    learner, resumed = _load(session, task)
    plan = learner.plan
    control.step, control.steps_per_epoch = learner.step, plan.steps_per_epoch
    disk = disk_plan(config, task, learner, [*_planned(config, task, learner).values()])
    if session.is_first:
        check_room(session.run, disk)
        if not session.run.run_file.exists():
            session.run.write_info(run_info(session.run, config, task, learner, world_size=group.world))
        checkpoint.sweep(session.run)
    emit(started_event(config, task, learner, disk, resumed=resumed))
    emit(Phase(name="loading", detail=f"{_way_of_computing(config, learner)}; {disk.text}"))

    # First snapshot: what the model answers before it has learned anything (again, after a resume, if it is missing).
    snapshots = _snapshots(session, task, learner)
    saver = _Saver(session, learner)
    try:
        if snapshots.take(learner) or learner.step == 0:
            learner.restart_clock()
        emit(Phase(name="training", done=learner.step, total=plan.total_steps))

        # Epochs: steps in an order that is a pure function of seed and epoch. The values of a step are known a little
        # later than it ends; they are settled before anything that people see or that is saved.
        reason = ""
        for epoch in range(learner.step // plan.steps_per_epoch + 1, plan.epochs + 1):
            if reason := _early_stop(session, snapshots, learner):
                break
            batches = epoch_batches(task.train, plan.seed, epoch, plan.batch_size)
            for windows in batches[learner.step - (epoch - 1) * plan.steps_per_epoch :]:
                _report(session, learner, _learn(session, learner, windows))
                step = control.step = learner.step
                epoch_ended, planned = step % plan.steps_per_epoch == 0, step in snapshots.planned
                if epoch_ended or planned:
                    _report(session, learner, learner.settle())

                # Checkpoint before snapshot: what a snapshot shows can be resumed from.
                if epoch_ended or group.highest(saver.overdue):
                    _report(session, learner, learner.settle())
                    saver.save()
                if planned and snapshots.take(learner):
                    emit(Phase(name="training", done=step, total=plan.total_steps))
                    learner.restart_clock()
                if epoch_ended and session.is_first:
                    _drop_old_weights(session, snapshots, learner)

                # Commands and signals: pause here, save, or stop.
                if control.after_step():
                    _report(session, learner, learner.settle())
                    saver.save()
    except StopAsked:
        _report(session, learner, learner.settle())
        if learner.step > saver.step:
            saver.save()
        raise

    # End.
    group.wait_for_all()
    metrics = _snapshots(session, task, learner).metrics_at(learner.step) if session.is_first else None
    seconds = time.monotonic() - began
    epoch_reached = plan.epoch_at(learner.step)
    return Finished(step=learner.step, epoch=epoch_reached, seconds=seconds, metrics=metrics, reason=reason)


def _load(session: Session, task: Task) -> tuple[Learner, bool]:
    """The model with its optimizer on this process's device; and whether it comes from a checkpoint."""
    config, group = session.config, session.group
    device = choose_device(config, group.local_rank)
    if group.highest(KINDS.index(device.type)) != KINDS.index(device.type):
        raise UserError(
            f"{group.place} computes on {device.type}, and other machines of this run on another kind of device.",
            hint="Choose machines that are alike, or --device cpu.",
        )
    dtype, _ = choose_precision(config, device)
    found = _checkpoint(session)
    source = checkpoint.files_of(found[0], task.files) if found else task.files
    model = load_model(
        source,
        seed=config.seed,
        device=device,
        dtype=dtype,
        trust_remote_code=config.trust_remote_code,
        attention_dropout=config.attention_dropout,
    )
    if not found:
        check_reading_order(model, task, session.emit)
    # Tokenizer and config.json are saved from the model's own folder: the checkpoint resumed from will be removed.
    model = replace(model, files=task.files)
    freeze_layers(model.network, config.freeze_layers)
    if config.gradient_checkpointing:
        model.checkpoint_gradients()
    if config.torch_compile and device.type == "cuda" and isinstance(model.network, PackedEncoder):
        model.network.compile_layers(model.dtype)
    learner = Learner(model, make_plan(config, task.train, model.parameters), task.train, group)
    if found:
        checkpoint.restore(learner, found[0])
    return learner, found is not None


def _checkpoint(session: Session) -> tuple[Path, Manifest] | None:
    """The newest whole checkpoint; in a group the one that rank 0 sees, which is waited for on the other machines."""
    group = session.group
    found = checkpoint.newest_resumable(session.run) if session.is_first else None
    step = group.highest(found[1].step if found else 0)
    if session.is_first or not step:
        return found

    def same() -> tuple[Path, Manifest] | None:
        newest = checkpoint.newest_resumable(session.run)
        return newest if newest is not None and newest[1].step == step else None

    return on_shared_disk(session, same, f"the checkpoint of step {step}")


def on_shared_disk(session: Session, look: Callable[[], T | None], what: str) -> T:
    """What `look` finds in the run's folder once this machine sees it too. Raises UserError where it never does."""
    for _ in range(int(SHARED_SECONDS / SHARED_LOOK_SECONDS)):
        if (found := look()) is not None:
            return found
        time.sleep(SHARED_LOOK_SECONDS)
    group = session.group
    raise UserError(
        f"{session.run.path}: rank {group.rank} on {group.place} does not see {what}.",
        hint="The run's folder must be one that all machines share.",
    )


def _way_of_computing(config: RunConfig, learner: Learner) -> str:
    """For example `bf16 (this CPU multiplies bfloat16), windows without padding`."""
    model = learner.model
    way = "without padding" if model.packed else "padded in groups of similar length"
    graphs = ", steps as CUDA graphs" if learner.records_graphs else ""
    return f"{model.precision} ({choose_precision(config, model.device)[1]}), windows {way}{graphs}"


def _report(session: Session, learner: Learner, done: list[StepValues]) -> None:
    """Emit steps that are done. Raises NotFinite for one that learned nothing."""
    for values in done:
        if not values.finite:
            raise _not_finite(session, learner, values)
        session.emit(step_event(learner, values))


class _Saver:
    """Saves checkpoints, and knows when the last one was: at `step`."""

    def __init__(self, session: Session, learner: Learner) -> None:
        self._session, self._learner = session, learner
        self.step, self._time = learner.step, time.monotonic()

    @property
    def overdue(self) -> bool:
        """Whether the last one is older than `checkpoint_minutes`."""
        return time.monotonic() - self._time > 60 * self._session.config.checkpoint_minutes

    def save(self) -> None:
        """Save the learner as it is now; only one process writes."""
        self.step, self._time = self._learner.step, time.monotonic()
        if self._session.is_first:
            _save(self._session, self._learner)


def _save(session: Session, learner: Learner) -> None:
    name = checkpoint.checkpoint_name(learner.step, learner.plan.steps_per_epoch)
    manifest = checkpoints(session.run).get(session.run.path / name)
    if manifest is not None and manifest.resumable and manifest.step == learner.step:
        return  # saved before the engine was stopped
    session.emit(Phase(name="saving", detail=name))
    session.emit(checkpoint.save_checkpoint(session.run, learner))
    if learner.step % learner.plan.steps_per_epoch:
        checkpoint.tidy(session.run, None)
    session.emit(Phase(name="training", done=learner.step, total=learner.plan.total_steps))


def _learn(session: Session, learner: Learner, windows: Windows) -> list[StepValues]:
    """One step; with --auto-find-batch-size on fewer windows at a time where the device's memory is not enough."""
    while True:
        try:
            return learner.learn(windows)
        except torch.OutOfMemoryError:
            before = learner.micro_batch_size
            # One process of several can't do it alone: the others are in the step.
            if session.group.world > 1 or not session.config.auto_find_batch_size or not learner.halve_batch():
                raise
        parts = -(-learner.plan.batch_size // learner.micro_batch_size)
        session.emit(
            Warned(
                message=f"out of memory at step {learner.step + 1} with {before} windows at a time; it goes on with "
                f"{learner.micro_batch_size}, {parts} of these batches make a step of {learner.plan.batch_size}.",
                hint=f"Next time: --batch-size {learner.micro_batch_size} --gradient-accumulation-steps {parts}.",
            )
        )


def _early_stop(session: Session, snapshots: Snapshots, learner: Learner) -> str:
    """Why the run is to end at this epoch's end, before its last epoch; "" where it goes on. Asked at a whole epoch
    or, by a resumed run, within one."""
    patience = session.config.early_stopping_patience
    if patience is None or learner.step % learner.plan.steps_per_epoch:
        return ""
    # The first process decides for all: it wrote the snapshots.
    waited = snapshots.epochs_without_better(learner.plan, learner.step) if session.is_first else 0
    waited = session.group.highest(waited)
    if waited < patience:
        return ""
    epochs = "epoch" if waited == 1 else "epochs"
    return f"early stopping: no better F1 for {waited} {epochs}"


def _drop_old_weights(session: Session, snapshots: Snapshots, learner: Learner) -> None:
    """Keep the weights of all epochs, of the best one and the last, or of the last."""
    if session.config.keep_weights == "all":
        keep = None
    elif session.config.keep_weights == "last" and session.config.early_stopping_patience is None:
        keep = set[int]()
    else:
        best = snapshots.best_epoch_step(learner.plan, learner.step)
        keep = set() if best is None else {best}
    checkpoint.tidy(session.run, keep)


def _planned(config: RunConfig, task: Task, learner: Learner) -> dict[int, Planned]:
    return plan_snapshots(
        learner.plan,
        early=config.early_snapshots,
        train_tokens=len(task.train.input_ids),
        eval_tokens=len(task.eval.input_ids),
        sample_tokens=len(task.sample.features.input_ids) if task.sample is not None else None,
    )


def _snapshots(session: Session, task: Task, learner: Learner) -> Snapshots:
    planned = numbered_as_stored(_planned(session.config, task, learner), snapshot_infos(session.run))
    announced = {e.index for e in read_events(session.run.events_file) if isinstance(e, SnapshotTaken)}
    return Snapshots(session.run, task, planned, session.emit, session.control, announced)


def _not_finite(session: Session, learner: Learner, values: StepValues) -> NotFinite:
    """Keep the weights from before the step that failed, and describe where it was."""
    plan = learner.plan
    epoch, number = divmod(values.step - 1, plan.steps_per_epoch)
    windows = epoch_batches(learner.features, plan.seed, epoch + 1, plan.batch_size)[number]
    learner.step = values.step - 1
    kept = "nothing was learned before"
    if session.is_first and learner.step > 0:
        _save(session, learner)
        kept = f"the weights from before are in {checkpoint.checkpoint_name(learner.step, plan.steps_per_epoch)}"
    session.group.wait_for_all()
    what = "loss" if not math.isfinite(values.loss) else "gradient"
    return NotFinite(
        f"the {what} is not a finite number at step {values.step} (epoch {epoch + 1}, training examples number "
        f"{', '.join(str(n) for n in np.unique(learner.features.feature_example[windows])[:8])} …); {kept}.",
        hint=f"Lower --lr (it was {plan.lr:g})"
        + ("." if learner.model.precision == "fp32" else ", or choose --precision fp32."),
    )
