"""A run from its first event to its last, as one story."""

from __future__ import annotations

import math
import platform
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from engine.config import RunConfig
from engine.errors import UserError, WriteError
from engine.events import Finished, Phase, RunStarted, SnapshotTaken, Step
from engine.learning import checkpoint
from engine.learning.batches import epoch_batches
from engine.learning.control import Control, StopAsked
from engine.learning.distributed import Group
from engine.learning.encoder.load import Model, choose_device, choose_precision, load_model
from engine.learning.prepare import Say, Task, write_task
from engine.learning.snapshots import Snapshots, plan_snapshots
from engine.learning.steps import Learner, StepValues, make_plan
from engine.models import ModelFiles
from engine.rundir.layout import ModelIdentity, RunDir, RunInfo, data_identity, versions
from engine.rundir.log import read_events

BYTES_TO_SAVE = 12
"""Of one parameter in a checkpoint: weight and two moments of the optimizer, four bytes each."""


class NotFinite(UserError):
    """The loss or a gradient was no finite number; the weights from before are kept."""


@dataclass(frozen=True)
class Session:
    """What a process needs to work on a run."""

    run: RunDir
    config: RunConfig
    group: Group
    control: Control
    say: Say


def run_session(session: Session, task: Task) -> None:
    """Fine-tune from wherever the run stands to its end, telling everything. Raises UserError, StopAsked."""
    run, config, group, say = session.run, session.config, session.group, session.say
    began = time.monotonic()

    files = task.files
    if group.rank == 0:
        write_task(run, task)
    device = choose_device(config, group.local_rank)
    dtype, reason = choose_precision(config, device)
    group.join(device)
    found = checkpoint.newest_resumable(run)
    source = checkpoint.files_of(found[0], files) if found else files
    model = load_model(source, seed=config.seed, device=device, dtype=dtype, trust_remote_code=config.trust_remote_code)
    # Tokenizer and config.json are saved from the model's own folder: the checkpoint gone on from will be removed.
    model = replace(model, files=files)
    plan = make_plan(config, task.train, model.parameters)
    learner = Learner(model, plan, task.train, group)
    if found:
        checkpoint.restore(learner, found[0])
    session.control.step, session.control.steps_per_epoch = learner.step, plan.steps_per_epoch
    if group.rank == 0:
        _check_room(run, model, task)
        if not run.run_file.exists():
            run.write_info(_info(session, files, task, learner))
    say(_started(session, files, task, learner, resumed=found is not None))
    way = "without padding" if model.unpadded else "padded in groups of similar length"
    say(Phase(name="loading", detail=f"{_precision(model)} ({reason}), windows {way}"))

    _train(session, task, learner)
    learner.group.wait_for_all()
    metrics = _snapshots(session, task, learner).metrics_at(learner.step) if group.rank == 0 else None
    say(
        Finished(
            step=learner.step,
            epoch=plan.epoch_at(learner.step),
            seconds=time.monotonic() - began,
            metrics=metrics,
        )
    )


def _train(session: Session, task: Task, learner: Learner) -> None:
    """Steps, snapshots and checkpoints up to the end. Raises NotFinite, StopAsked, WriteError."""
    config, group, say, control, plan = session.config, session.group, session.say, session.control, learner.plan
    snapshots = _snapshots(session, task, learner)
    saved_at, saved_time = learner.step, time.monotonic()

    def save() -> None:
        nonlocal saved_at, saved_time
        saved_at, saved_time = learner.step, time.monotonic()
        if group.rank == 0:
            _save(session, learner)

    def tell(done: list[StepValues]) -> None:
        for values in done:
            if not values.finite:
                raise _not_finite(session, learner, values)
            say(_step_event(learner, values))

    try:
        if group.rank == 0:
            checkpoint.sweep(session.run)
        if snapshots.take(learner) or learner.step == 0:
            learner.restart_clock()
        say(Phase(name="training", done=learner.step, total=plan.total_steps))
        for epoch in range(learner.step // plan.steps_per_epoch + 1, plan.epochs + 1):
            batches = epoch_batches(task.train, plan.seed, epoch, plan.batch_size)
            for windows in batches[learner.step - (epoch - 1) * plan.steps_per_epoch :]:
                tell(learner.learn(windows))
                step = control.step = learner.step
                epoch_ended, planned = step % plan.steps_per_epoch == 0, step in snapshots.planned
                if epoch_ended or planned:
                    tell(learner.settle())
                overdue = group.highest(time.monotonic() - saved_time > 60 * config.checkpoint_minutes)
                if epoch_ended or overdue:
                    tell(learner.settle())
                    save()
                if planned and snapshots.take(learner):
                    say(Phase(name="training", done=step, total=plan.total_steps))
                    learner.restart_clock()
                if epoch_ended and group.rank == 0:
                    _tidy(session, snapshots, learner)
                if control.after_step():
                    tell(learner.settle())
                    save()
    except StopAsked:
        tell(learner.settle())
        if learner.step > saved_at:
            save()
        raise


def _save(session: Session, learner: Learner) -> None:
    name = checkpoint.checkpoint_name(learner.step, learner.plan.steps_per_epoch)
    manifest = checkpoint.checkpoints(session.run).get(session.run.path / name)
    if manifest is not None and manifest.resumable and manifest.step == learner.step:
        return  # saved before the engine was stopped
    session.say(Phase(name="saving", detail=name))
    session.say(checkpoint.save_checkpoint(session.run, learner))
    if learner.step % learner.plan.steps_per_epoch:
        checkpoint.tidy(session.run, None)
    session.say(Phase(name="training", done=learner.step, total=learner.plan.total_steps))


def _tidy(session: Session, snapshots: Snapshots, learner: Learner) -> None:
    if session.config.keep_weights == "all":
        keep = None
    elif session.config.keep_weights == "last":
        keep = set[int]()
    else:
        best = snapshots.best_epoch_step(learner.plan, learner.step)
        keep = set() if best is None else {best}
    checkpoint.tidy(session.run, keep)


def _snapshots(session: Session, task: Task, learner: Learner) -> Snapshots:
    planned = plan_snapshots(
        learner.plan,
        early=session.config.early_snapshots,
        train_tokens=len(task.train.input_ids),
        eval_tokens=len(task.eval.input_ids),
    )
    told = {e.index for e in read_events(session.run.events_file) if isinstance(e, SnapshotTaken)}
    return Snapshots(session.run, task, planned, session.say, session.control, told)


def _not_finite(session: Session, learner: Learner, values: StepValues) -> NotFinite:
    """Keep the weights from before the step that failed, and say where it was."""
    plan = learner.plan
    epoch, number = divmod(values.step - 1, plan.steps_per_epoch)
    windows = epoch_batches(learner.features, plan.seed, epoch + 1, plan.batch_size)[number]
    learner.step = values.step - 1
    kept = "nothing was learned before"
    if session.group.rank == 0 and learner.step > 0:
        _save(session, learner)
        kept = f"the weights from before are in {checkpoint.checkpoint_name(learner.step, plan.steps_per_epoch)}"
    what = "loss" if not math.isfinite(values.loss) else "gradient"
    return NotFinite(
        f"the {what} is not a finite number at step {values.step} (epoch {epoch + 1}, training examples number "
        f"{', '.join(str(n) for n in np.unique(learner.features.feature_example[windows])[:8])} …); {kept}.",
        hint=f"Lower --lr (it was {plan.lr:g})"
        + ("." if _precision(learner.model) == "fp32" else ", or choose --precision fp32."),
    )


def _step_event(learner: Learner, values: StepValues) -> Step:
    return Step(
        step=values.step,
        epoch=learner.plan.epoch_at(values.step),
        loss=values.loss,
        learning_rate=values.learning_rate,
        grad_norm=values.grad_norm,
        examples_per_second=values.windows / values.seconds,
        tokens_per_second=values.tokens / values.seconds,
        memory=values.memory,
    )


def _check_room(run: RunDir, model: Model, task: Task) -> None:
    """Refuse to begin where the disk can't hold one checkpoint and a few snapshots. Raises WriteError."""
    needed = BYTES_TO_SAVE * model.parameters + 4 * 2 * 4 * len(task.eval.input_ids)
    free = shutil.disk_usage(run.path).free
    if free < needed:
        raise WriteError(
            f"{run.path}: {free / 1e9:.1f} GB free, and a checkpoint with snapshots needs {needed / 1e9:.1f} GB.",
            hint="Make room, or choose another place with --run-dir.",
        )


def _info(session: Session, files: ModelFiles, task: Task, learner: Learner) -> RunInfo:
    config = session.config
    start = session.run.start_info
    paths = [Path(name) for name in (config.dataset, config.eval) if name]
    return RunInfo(
        config=config,
        lr=learner.plan.lr,
        max_answer_length=task.max_answer_length,
        allow_null=task.allow_null,
        data=start.data if start is not None else tuple(data_identity(path) for path in paths),
        model=ModelIdentity(files.name, files.revision, files.sha256, learner.model.parameters),
        versions=versions(),
        host=platform.node(),
        device=device_name(learner.model),
        precision=_precision(learner.model),
        world_size=session.group.world,
        created=time.time(),
    )


def _started(session: Session, files: ModelFiles, task: Task, learner: Learner, *, resumed: bool) -> RunStarted:
    plan, model = learner.plan, learner.model
    return RunStarted(
        dataset=session.config.dataset,
        model=files.name,
        device=device_name(model),
        precision=_precision(model),
        lr=plan.lr,
        batch_size=plan.batch_size,
        epochs=plan.epochs,
        total_steps=plan.total_steps,
        train_examples=len(task.dataset.train),
        train_features=len(task.train),
        eval_examples=len(task.examples),
        eval_features=len(task.eval),
        parameters=model.parameters,
        resumed_from_step=learner.step if resumed else None,
    )


def device_name(model: Model) -> str:
    """What the model runs on, for people."""
    if model.device.type == "cuda":
        return f"{model.device} ({torch.cuda.get_device_name(model.device)})"
    return str(model.device)


def _precision(model: Model) -> str:
    return "bf16" if model.dtype.itemsize == 2 else "fp32"
