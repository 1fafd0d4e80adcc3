"""One optimiser step: forward, backward, clip, update."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.data.features import Features
from engine.learning.async_copy import Moment, PendingTensor
from engine.learning.batches import make_batch
from engine.learning.distributed import Group
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.dropout import DropoutMasks
from engine.learning.encoder.load import Model
from engine.learning.encoder.optimizer import AdamW
from engine.learning.graphs import NO_TARGET, StepGraphs, can_record
from engine.learning.loss_scale import LossScale
from engine.learning.schedule import Plan

Windows = np.ndarray[Any, np.dtype[np.int64]]
READ_LATER = 4
"""On a GPU the values of a step are read this many steps later, so that the processor never waits for it."""


def make_optimizer(network: nn.Module, plan: Plan) -> AdamW:
    """AdamW; biases and normalisation do not decay."""
    learning = [p for p in network.parameters() if p.requires_grad]
    decays = [p for p in learning if p.ndim > 1]
    others = [p for p in learning if p.ndim <= 1]
    return AdamW([(decays, plan.weight_decay), (others, 0.0)])


def span_loss(scores: Tensor, batch: Batch, count: int) -> Tensor:
    """Cross-entropy of start and end over each window's own tokens: their mean, summed over windows, / `count`.

    `scores` is float32[T, 2], the loss float32[]. Hugging Face's models take the softmax over padding too; there is
    none here.
    """
    size = (len(batch.lengths), batch.longest, 2)
    nothing = torch.finfo(scores.dtype).min  # not -inf, of which a window without a token would be NaN
    padded = scores.new_full(size, nothing).index_put((batch.row, batch.position), scores)
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
    ended: Moment | None


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
        self.micro_batch_size = self.plan.micro_batch_size or self.plan.batch_size
        self._bad, self._idle, self._rate = torch.zeros(3, device=self.model.device).unbind()
        self._graphs = None
        if self.group.world == 1 and can_record(self.model):
            longest = int(np.diff(self.features.token_offset).max())
            self._graphs = StepGraphs(self.model, self.micro_batch_size, longest, self._whole_step, self._idle)
        self.loss_scale = LossScale(self.model.device, enabled=self.model.dtype == torch.float16)
        self._pending: deque[_Pending] = deque()
        self._process = psutil.Process()
        self._read_later = READ_LATER if self.model.device.type == "cuda" else 0
        self._clock = Moment(self.model.device)

    def learn(self, windows: Windows) -> list[StepValues]:
        """One optimiser step on the training windows `windows`; returns the steps whose values are now known.

        Once a step's loss or gradient was not finite, neither it nor any later step changes the weights; in float16 a
        gradient that overflows only halves the loss scale. Raises torch.OutOfMemoryError, with nothing changed.
        """
        model = self.model
        self.step += 1
        rate = self.plan.learning_rate(self.step)
        if model.device.type != "cpu" or not model.packed:
            torch.manual_seed(_step_seed(self.plan.seed, self.step, self.group.rank))
        try:
            values = self._replayed(windows, rate)
            if values is None:
                values = self._update(self._gradients(windows), rate)
        except torch.OutOfMemoryError:
            self.step -= 1
            self.optimizer.zero_grad()
            raise
        low = self.features.token_offset
        tokens = int((low[windows + 1] - low[windows]).sum())
        pending = PendingTensor(values)
        ended = Moment(model.device) if self._read_later else None
        self._pending.append(_Pending(self.step, pending, rate, len(windows), tokens, ended))
        return self._read(self._read_later)

    @property
    def records_graphs(self) -> bool:
        """Whether whole steps are replayed as CUDA graphs."""
        return self._graphs is not None

    def halve_batch(self) -> bool:
        """Compute half as many windows at a time from now on; False where there is only one."""
        if self.micro_batch_size <= 1:
            return False
        self.micro_batch_size = -(-self.micro_batch_size // 2)
        self._graphs = None
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return True

    def _gradients(self, windows: Windows) -> Tensor:
        """Add up the gradients of the step's windows, `micro_batch_size` at a time; returns their loss float32[]."""
        total = torch.zeros((), device=self.model.device)
        for first in range(0, len(windows), self.micro_batch_size):
            part = windows[first : first + self.micro_batch_size]
            is_last = first + self.micro_batch_size >= len(windows)
            with self.group.syncing(self._forward, now=is_last):
                total += self._backward(part, first, len(windows))
        return total

    def _backward(self, part: Windows, first: int, count: int) -> Tensor:
        """Gradients of some of a step's `count` windows, from number `first` on; returns their share of the loss."""
        model, group = self.model, self.group
        batch = make_batch(
            self.features, part, device=model.device, rank=group.rank, world=group.world, first_place=first
        )
        masks = None
        if model.device.type == "cpu" and model.packed:
            masks = DropoutMasks(self.plan.seed, self.step, batch.places, batch.lengths)
        scores = self._forward(batch, masks, model.dtype)
        loss = span_loss(scores, batch, count) * (batch.counted / len(batch.lengths))
        # Gradients are averaged over processes; the factor undoes it.
        torch.autograd.backward(loss * group.world * self.loss_scale.factor)
        return loss.detach()

    def _replayed(self, windows: Windows, rate: float) -> Tensor | None:
        """The values of a whole step, replayed as a graph; None, with nothing changed, where there is none."""
        if self._graphs is None or len(windows) > self.micro_batch_size:
            return None
        batch = make_batch(self.features, windows)
        if not self._graphs.takes(batch):
            return None
        self._rate.fill_(rate)
        return self._graphs.learn(batch)

    def _whole_step(self, batch: Batch) -> Tensor:
        """What a graph records: a step on `batch`, filled up, at the learning rate that stands on the device."""
        counted = (batch.target[0] != NO_TARGET).sum()
        loss = span_loss(self._forward(batch, None, self.model.dtype), batch, 1) / counted
        torch.autograd.backward(loss)
        return self._update(loss.detach(), self._rate)

    def _update(self, loss: Tensor, rate: float | Tensor) -> Tensor:
        """Update the weights by their gradients, and forget these; returns loss, norm of the gradient, and whether
        nothing was or will be learned (1 or 0), float32[3]."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        self.loss_scale.unscale(gradients)
        norm = nn.utils.get_total_norm(gradients)
        total = self.group.add_up(loss)
        overflow = (~torch.isfinite(norm)).float()
        self.loss_scale.update(1 - overflow)
        wrong = (~torch.isfinite(total)).float()
        wrong = torch.maximum(wrong, self.loss_scale.exhausted if self.loss_scale.enabled else overflow)
        torch.maximum(self._bad, wrong, out=self._bad)
        # The fused kernel clips, and leaves weights and moments alone where `skip` is 1: no need to look at it here.
        skip = torch.maximum(torch.maximum(self._bad, overflow), self._idle)
        self.optimizer.step(rate, skip=skip, divide=(norm / self.plan.max_grad_norm).clamp(min=1.0))
        self.optimizer.zero_grad()
        return torch.stack((total, norm, self._bad))

    def settle(self) -> list[StepValues]:
        """Wait for all steps begun; returns those not returned yet."""
        return self._read(0)

    def restart_clock(self) -> None:
        """Leave the time since the last step (an evaluation, a pause) out of the next one's."""
        self._clock = Moment(self.model.device)

    def _read(self, keep: int) -> list[StepValues]:
        done = []
        while len(self._pending) > keep:
            first = self._pending.popleft()
            loss, norm, bad = first.values.read().tolist()
            # Several steps may be read at once: a step's time is the device's, not that of its reading.
            ended = first.ended or Moment(self.model.device)
            done.append(
                StepValues(
                    first.step,
                    loss,
                    norm,
                    first.learning_rate,
                    first.windows,
                    first.tokens,
                    max(ended.seconds_since(self._clock), 1e-9),
                    self.memory(),
                    not bad,
                )
            )
            self._clock = ended
        return done

    def memory(self) -> int:
        """Bytes in use on the device; of this process on a CPU."""
        if self.model.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.model.device))
        return int(self._process.memory_info().rss)


def _step_seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))
