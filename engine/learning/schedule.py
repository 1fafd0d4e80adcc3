"""What the optimiser follows: the size of a step, how many there are, and the learning rate of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.config import RunConfig, Scheduler
from engine.data.features import Features
from engine.learning.batches import steps_per_epoch
from engine.learning.encoder.load import default_learning_rate


@dataclass(frozen=True)
class Plan:
    """What the optimiser follows; all a pure function of the configuration, the data and the model's size.

    A step learns from `batch_size` windows of all processes, `micro_batch_size` of them at a time.
    """

    seed: int
    batch_size: int
    epochs: int
    steps_per_epoch: int
    lr: float
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    scheduler: Scheduler = "linear"
    micro_batch_size: int = 0

    @property
    def total_steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """Rate of step `step` (counted from 1). All but "constant" rise linearly over the warm-up, without Hugging
        Face's first step of rate 0; then they fall to 0, linearly or as half a cosine (Loshchilov and Hutter 2017,
        arXiv 1608.03983), or stay."""
        done = step - 1
        if self.scheduler == "constant":
            return self.lr
        if done < self.warmup_steps:
            return self.lr * (done + 1) / (self.warmup_steps + 1)
        if self.scheduler == "constant_with_warmup":
            return self.lr
        left = (self.total_steps - done) / max(1, self.total_steps - self.warmup_steps)
        return self.lr * (left if self.scheduler == "linear" else 0.5 * (1 + math.cos(math.pi * (1 - left))))

    def epoch_at(self, step: int) -> float:
        """Epochs done after `step` steps, a fraction inside one."""
        return step / self.steps_per_epoch


def make_plan(config: RunConfig, features: Features, parameters: int) -> Plan:
    """The plan of a run: `config` with every default worked out."""
    batch_size = config.batch_size * config.gradient_accumulation_steps
    per_epoch = steps_per_epoch(features, config.seed, batch_size)
    return Plan(
        seed=config.seed,
        batch_size=batch_size,
        epochs=config.epochs,
        steps_per_epoch=per_epoch,
        lr=config.lr if config.lr is not None else default_learning_rate(parameters),
        warmup_steps=round(config.warmup_ratio * per_epoch * config.epochs),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        scheduler=config.lr_scheduler_type,
        micro_batch_size=config.batch_size,
    )
