"""Writes checkpoints, whole or not at all, and goes on from them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import torch
from msgspec import Struct

from engine.errors import UserError, WriteError
from engine.events import CheckpointSaved
from engine.learning.encoder.optimizer import MOMENTS
from engine.learning.steps import Learner
from engine.models import ModelFiles, model_in_folder
from engine.rundir.checkpoints import (
    STATE,
    STATE_TENSORS,
    Manifest,
    checkpoints,
    drop_state,
    file_entry,
    is_unchanged,
    write_manifest,
)
from engine.rundir.layout import RunDir, read_json
from engine.storage.atomic_io import (
    make_folder,
    operations,
    raises_write_error,
    remove_folder,
    replace_file,
    sync_folder,
)
from engine.storage.tensors import Tensors, write_tensors

LOSS_SCALE = "loss_scale"
FORMER_NAMES = {"word_embeddings": "words", "position_embeddings": "places", "token_type_embeddings": "types"}


class State(Struct, frozen=True):
    """Where training stands. Data order and dropout are pure functions of seed and step, so this is all."""

    step: int
    seed: int
    batch_size: int
    steps_per_epoch: int
    total_steps: int


def checkpoint_name(step: int, steps_per_epoch: int) -> str:
    """Folder of the checkpoint after `step` steps, relative to the run."""
    epoch, rest = divmod(step, steps_per_epoch)
    return f"checkpoints/epoch-{epoch:04}" if not rest else f"checkpoints/step-{step:08}"


def save_checkpoint(run: RunDir, learner: Learner) -> CheckpointSaved:
    """Write model, tokenizer, optimizer and position; returns the event that announces it. Raises WriteError."""
    plan, step = learner.plan, learner.step
    name = checkpoint_name(step, plan.steps_per_epoch)
    folder = run.path / name
    making = folder.with_name(f".{folder.name}.tmp")
    remove_folder(making)
    make_folder(making)
    try:
        learner.model.save(making)
        write_tensors(making / STATE_TENSORS, _moments(learner) | _loss_scale(learner), {"format": "pt"})
        state = State(step, plan.seed, plan.batch_size, plan.steps_per_epoch, plan.total_steps)
        replace_file(making / STATE, msgspec.json.encode(state))
        with raises_write_error(folder):
            files = {path.name: file_entry(path) for path in sorted(making.iterdir())}
        write_manifest(making, Manifest(step, plan.epoch_at(step), files))
        remove_folder(folder)
        with raises_write_error(folder):
            operations.rename(making, folder)
            sync_folder(folder.parent)
    except WriteError:
        _forget(making)
        raise
    return CheckpointSaved(path=name, step=step, epoch=plan.epoch_at(step))


def newest_resumable(run: RunDir) -> tuple[Path, Manifest] | None:
    """The latest checkpoint to go on from whose files are all as they were written; None where there is none."""
    for folder, manifest in reversed(checkpoints(run).items()):
        if manifest.resumable and all(is_unchanged(folder / name, entry) for name, entry in manifest.files.items()):
            return folder, manifest
    return None


def _former_name(name: str) -> str:
    """A parameter's name in the checkpoints of earlier versions."""
    module, _, kind = name.rpartition(".")
    return f"{FORMER_NAMES.get(module, module)}.{kind}"


def restore(learner: Learner, folder: Path) -> None:
    """Give the optimizer of `learner`, whose weights come from `folder`, its state back. Raises UserError, as where
    another version gave the parameters other names."""
    state = read_json(folder / STATE, State)
    plan = learner.plan
    if (state.seed, state.batch_size, state.steps_per_epoch) != (plan.seed, plan.batch_size, plan.steps_per_epoch):
        raise UserError(
            f"{folder}: made with other data or options; it can't be gone on from.",
            hint="Start a new run, or put the data set back as it was.",
        )
    with Tensors(folder / STATE_TENSORS) as stored:
        held = set(stored.names)
        left = {name for name in held if name.startswith("exp_avg.")}
        for name, parameter in learner.model.network.named_parameters():
            known = next((given for given in (name, _former_name(name)) if f"exp_avg.{given}" in held), None)
            if known is not None:
                left.discard(f"exp_avg.{known}")
                learner.optimizer.state[parameter] = {
                    kind: torch.from_numpy(stored.read(f"{kind}.{known}").copy()).to(
                        "cpu" if kind == "step" and parameter.device.type == "cpu" else parameter.device
                    )
                    for kind in MOMENTS
                }
        if left:
            raise UserError(
                f"{folder}: another version of bertqa-tui, which computes this model in another way, made it; it can't "
                "be gone on from.",
                hint=f"Start a new run from its weights: --model {folder}.",
            )
        if learner.loss_scale.enabled and LOSS_SCALE in held:
            learner.loss_scale.state = torch.from_numpy(stored.read(LOSS_SCALE).copy()).to(learner.model.device)
    learner.step = state.step


def files_of(folder: Path, origin: ModelFiles) -> ModelFiles:
    """The model in a checkpoint, under the name of the one that training began with."""
    return model_in_folder(folder, name=origin.name, revision=origin.revision)


def tidy(run: RunDir, keep: Collection[int] | None) -> None:
    """Remove what is not needed besides the newest checkpoint: those inside an epoch, and the optimizer's state of
    all others; also their weights, except at the steps in `keep` (None: keep every epoch's). Raises WriteError."""
    everything = checkpoints(run)
    for folder, manifest in list(everything.items())[:-1]:
        if folder.name.startswith("step-") or (keep is not None and manifest.step not in keep):
            remove_folder(folder)
        elif manifest.resumable:
            drop_state(folder, manifest)


def sweep(run: RunDir) -> None:
    """Remove what a killed engine left half made. Raises WriteError."""
    for path in run.checkpoints.iterdir():
        if path.name.startswith(".") and path.is_dir() and path.suffix in (".tmp", ".old"):
            _forget(path)


def _forget(folder: Path) -> None:
    try:
        remove_folder(folder)
    except (WriteError, OSError):
        return  # it has no manifest under a name that counts: it is in nobody's way


def _loss_scale(learner: Learner) -> dict[str, Any]:
    return {LOSS_SCALE: learner.loss_scale.state.cpu().numpy()} if learner.loss_scale.enabled else {}


def _moments(learner: Learner) -> dict[str, Any]:
    return {
        f"{kind}.{name}": state[kind].detach().cpu().numpy()
        for name, parameter in learner.model.network.named_parameters()
        if (state := learner.optimizer.state.get(parameter))
        for kind in MOMENTS
    }
