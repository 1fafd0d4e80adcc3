"""One optimiser step: forward, backward, clip, update; and the schedule that it follows."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.config import RunConfig
from engine.data.features import Features
from engine.learning.async_copy import PendingTensor
from engine.learning.batches import make_batch, steps_per_epoch
from engine.learning.distributed import Group
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import DropoutMasks
from engine.learning.encoder.load import Model, default_learning_rate
from engine.learning.encoder.optimizer import AdamW

READ_LATER = 4
"""On a GPU the values of a step are read this many steps later, so that the processor never waits for it."""


@dataclass(frozen=True)
class Plan:
    """What the optimiser follows; all a pure function of the configuration, the data and the model's size."""

    seed: int
    batch_size: int
    epochs: int
    steps_per_epoch: int
    lr: float
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float

    @property
    def total_steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """Rate of step `step` (counted from 1): rising linearly over the warm-up, then falling linearly to 0."""
        done = step - 1
        if done < self.warmup_steps:
            return self.lr * (done + 1) / (self.warmup_steps + 1)
        return self.lr * (self.total_steps - done) / max(1, self.total_steps - self.warmup_steps)

    def epoch_at(self, step: int) -> float:
        """Epochs done after `step` steps, a fraction inside one."""
        return step / self.steps_per_epoch


def make_plan(config: RunConfig, features: Features, parameters: int) -> Plan:
    """The plan of a run: `config` with every default worked out."""
    per_epoch = steps_per_epoch(features, config.seed, config.batch_size)
    return Plan(
        seed=config.seed,
        batch_size=config.batch_size,
        epochs=config.epochs,
        steps_per_epoch=per_epoch,
        lr=config.lr if config.lr is not None else default_learning_rate(parameters),
        warmup_steps=round(config.warmup_ratio * per_epoch * config.epochs),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
    )


def make_optimizer(network: nn.Module, plan: Plan) -> AdamW:
    """AdamW; biases and normalisation do not decay."""
    decays = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return AdamW([(decays, plan.weight_decay), (others, 0.0)])


def span_loss(scores: Tensor, batch: Batch, count: int) -> Tensor:
    """Cross-entropy of start and end over each window's own tokens: their mean, summed over windows, / `count`.

    `scores` is float32[T, 2], the loss float32[]. Hugging Face's models take the softmax over padding too; there is
    none here.
    """
    size = (len(batch.lengths), max(batch.lengths), 2)
    padded = scores.new_full(size, -torch.inf).index_put((batch.row, batch.position), scores)
    start, end = padded.unbind(-1)
    return (
        F.cross_entropy(start, batch.target[0], reduction="sum")
        + F.cross_entropy(end, batch.target[1], reduction="sum")
    ) / (2 * count)


@dataclass(frozen=True)
class StepValues:
    """What is known of a step once it is done; `finite` is False where it changed nothing, for its loss or
    gradient is not a finite number."""

    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    windows: int
    tokens: int
    seconds: float
    memory: int
    finite: bool


@dataclass
class _Pending:
    step: int
    values: PendingTensor
    learning_rate: float
    windows: int
    tokens: int


@dataclass
class Learner:
    """A model in training. Randomness of a step is a pure function of (seed, step), so that nothing of it needs
    to be saved: weights, optimizer and the number of steps done are the whole state."""

    model: Model
    plan: Plan
    features: Features
    group: Group = field(default_factory=Group)
    step: int = 0

    def __post_init__(self) -> None:
        network = self.model.network
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(network, self.plan)
        self._forward = self.group.wrap(network, all_used=self.model.packed)
        self._bad = torch.zeros((), device=self.model.device)
        self._pending: deque[_Pending] = deque()
        self._process = psutil.Process()
        self._clock = time.perf_counter()

    def learn(self, windows: np.ndarray[Any, np.dtype[np.int64]]) -> list[StepValues]:
        """One optimiser step on the training windows `windows`; returns the steps whose values are now known.

        Once a step's loss or gradient was not finite, neither it nor any later step changes the weights.
        """
        model, group = self.model, self.group
        self.step += 1
        batch = make_batch(self.features, windows, device=model.device, rank=group.rank, world=group.world)
        masks = None
        if model.device.type == "cpu" and model.packed:
            masks = DropoutMasks(self.plan.seed, self.step, batch.places, batch.lengths)
        else:
            torch.manual_seed(_step_seed(self.plan.seed, self.step, group.rank))
        scores = self._forward(batch, masks, model.dtype)
        # Gradients are averaged over processes; the factor undoes it.
        loss = span_loss(scores, batch, len(windows)) * (batch.counted / len(batch.lengths))
        torch.autograd.backward(loss * group.world)
        rate, values = self._update(loss)
        low = self.features.token_offset
        tokens = int((low[windows + 1] - low[windows]).sum())
        self._pending.append(_Pending(self.step, PendingTensor(values), rate, len(windows), tokens))
        return self._read(READ_LATER if model.device.type == "cuda" else 0)

    def _update(self, loss: Tensor) -> tuple[float, Tensor]:
        rate = self.plan.learning_rate(self.step)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.plan.max_grad_norm)
        total = self.group.add_up(loss.detach().clone())
        self._bad = torch.maximum(self._bad, (~torch.isfinite(total + norm)).float())
        # The fused kernel leaves weights and moments alone where this is 1: no need to look at it here.
        self.optimizer.step(rate, skip=self._bad)
        self.optimizer.zero_grad()
        return rate, torch.stack((total, norm, self._bad))

    def settle(self) -> list[StepValues]:
        """Wait for all steps begun; returns those not returned yet."""
        return self._read(0)

    def restart_clock(self) -> None:
        """Leave the time since the last step (an evaluation, a pause) out of the next one's."""
        self._clock = time.perf_counter()

    def _read(self, keep: int) -> list[StepValues]:
        done = []
        while len(self._pending) > keep:
            first = self._pending.popleft()
            loss, norm, bad = first.values.read().tolist()
            now = time.perf_counter()
            done.append(
                StepValues(
                    first.step,
                    loss,
                    norm,
                    first.learning_rate,
                    first.windows,
                    first.tokens,
                    max(now - self._clock, 1e-9),
                    self.memory(),
                    not bad,
                )
            )
            self._clock = now
        return done

    def memory(self) -> int:
        """Bytes in use on the device; of this process on a CPU."""
        if self.model.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.model.device))
        return int(self._process.memory_info().rss)


def _step_seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))
