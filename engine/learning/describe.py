"""A run in words and records: run.json, and the events of its start and its steps."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from engine.config import RunConfig
from engine.events import RunStarted, Step
from engine.learning.encoder.load import Model
from engine.learning.prepare import Task
from engine.learning.snapshots import Planned
from engine.learning.steps import Learner, StepValues
from engine.rundir.disk_plan import DiskPlan, plan_disk
from engine.rundir.layout import ModelIdentity, RunDir, RunInfo, data_identity, versions


def run_info(run: RunDir, config: RunConfig, task: Task, learner: Learner, *, world_size: int) -> RunInfo:
    """What run.json says."""
    files, start = task.files, run.start_info
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
        precision=learner.model.precision,
        world_size=world_size,
        created=time.time(),
    )


def disk_plan(config: RunConfig, task: Task, learner: Learner, snapshots: Sequence[Planned]) -> DiskPlan:
    """What the run writes in all, with these `snapshots`."""
    weights = list(learner.model.network.parameters())
    return plan_disk(
        config,
        snapshots=len(snapshots),
        samples=sum(planned.sampled for planned in snapshots),
        eval_tokens=len(task.eval.input_ids),
        sample_tokens=len(task.sample.features.input_ids) if task.sample is not None else 0,
        eval_examples=len(task.examples),
        train_tokens=len(task.train.input_ids),
        train_examples=len(task.dataset.train),
        parameters=learner.model.parameters,
        trained_parameters=sum(weight.numel() for weight in weights if weight.requires_grad),
        tokenizer_bytes=learner.model.tokenizer_bytes,
    )


def started_event(config: RunConfig, task: Task, learner: Learner, disk: DiskPlan, *, resumed: bool) -> RunStarted:
    """The event of an engine that begins to work, from the first step or (`resumed`) from a checkpoint."""
    plan, model = learner.plan, learner.model
    return RunStarted(
        dataset=config.dataset,
        model=task.files.name,
        device=device_name(model),
        precision=model.precision,
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
        snapshots=disk.snapshots,
        snapshot_bytes=disk.snapshot_bytes,
        checkpoint_bytes=disk.checkpoint_bytes,
    )


def device_name(model: Model) -> str:
    """What the model runs on, for people."""
    if model.device.type == "cuda":
        return f"{model.device} ({torch.cuda.get_device_name(model.device)})"
    return str(model.device)


def step_event(learner: Learner, values: StepValues) -> Step:
    """The event of a step that is done."""
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
