"""Why this answer: how much each token of question and passage did for it, and a test of that.

Gradient norms are the first opinion (Bastings et al. 2021 find them the most faithful for BERT), integrated gradients
(Sundararajan et al. 2017) the second. Neither is believed without the test: the tokens that matter most are masked,
and the answer's probability must fall further than where random others are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.features import Features
from engine.data.segments import SPECIAL
from engine.learning.batches import make_batch
from engine.learning.encoder.batch import Batch
from engine.learning.encoder.inner import embed, evaluating, scores_of_embeddings
from engine.learning.encoder.load import Model

FloatArray = NDArray[np.float32]

BATCH_TOKENS = 8192
"""Most tokens computed at once: twenty steps of integrated gradients over a window of 384 tokens are one batch. Of a
model of more than SMALL parameters proportionally fewer, since each token then keeps more for the backward pass."""
SMALL = 25_000_000


@dataclass(frozen=True)
class Asked:
    """One answer in one window: its tokens `start` to `end`, and bool[n] `choosable`, the tokens that an answer may
    start or end with. The null answer starts and ends at the null token."""

    features: Features
    window: int
    start: int
    end: int
    choosable: NDArray[np.bool_]

    def copies(self, count: int, device: torch.device) -> Batch:
        """A batch of `count` times the window."""
        return make_batch(self.features, np.full(count, self.window), device=device)

    @property
    def segment(self) -> NDArray[np.int8]:
        low, high = self.features.token_offset[self.window : self.window + 2].tolist()
        return self.features.segment[low:high]

    @property
    def maskable(self) -> NDArray[np.bool_]:
        """bool[n]: the tokens of question and passage outside the answer; without the answer's own tokens there is
        nothing to answer, which proves nothing about the others."""
        chosen: NDArray[np.bool_] = self.segment != SPECIAL
        chosen[self.start : self.end + 1] = False
        return chosen


@dataclass(frozen=True)
class Attribution:
    """A weight for every token of the window, float32[n]. `gap` is what integrated gradients miss: by completeness
    their sum is log P of the answer minus log P without any word; 0 for gradient norms."""

    weights: FloatArray
    probability: float
    gap: float = 0.0


@dataclass(frozen=True)
class MaskingTest:
    """P of the answer as it is, with the `masked` tokens (those that weigh most) masked, and the mean with as many
    random others, over `draws` draws."""

    masked: tuple[int, ...]
    before: float
    after: float
    after_random: float
    draws: int


def log_probability(scores: Tensor, asked: Asked) -> Tensor:
    """log P float32[B] of the answer for scores float32[B, n, 2]: log P of its start plus log P of its end, each a
    softmax over the choosable tokens of the window."""
    choosable = torch.from_numpy(asked.choosable).to(scores.device)
    shares = torch.log_softmax(scores.masked_fill(~choosable[:, None], -torch.inf), dim=1)
    return shares[:, asked.start, 0] + shares[:, asked.end, 1]


def gradient_norms(model: Model, asked: Asked, dtype: torch.dtype | None = None) -> Attribution:
    """The L2 norm of the gradient of log P with respect to each token's input embedding: one backward pass.

    Matrix products are in `dtype`; the model's own where it is None.
    """
    with evaluating(model):
        batch = asked.copies(1, model.device)
        embedded = embed(model, batch.input_ids)[None].requires_grad_()
        log_p = log_probability(scores_of_embeddings(model, batch, embedded, dtype or model.dtype), asked)
        (gradient,) = torch.autograd.grad(log_p.sum(), embedded)
    return Attribution(_array(gradient[0].norm(dim=-1)), float(log_p.detach().exp()))


def integrated_gradients(
    model: Model, asked: Asked, mask_id: int, *, steps: int = 20, dtype: torch.dtype | None = None
) -> Attribution:
    """Integrated gradients of log P along the straight line from the window with every token of question and passage
    masked; those that speak against the answer are negative. The integral is a midpoint sum of `steps` terms."""
    with evaluating(model):
        single = asked.copies(1, model.device)
        embedded = embed(model, single.input_ids)
        words = torch.from_numpy(asked.segment != SPECIAL).to(model.device)
        baseline = embed(model, torch.where(words, mask_id, single.input_ids))
        way = embedded - baseline
        total = torch.zeros_like(way)
        places = (torch.arange(steps, device=model.device) + 0.5) / steps
        for part in _parts(places, len(way), model):
            points = (baseline + part[:, None, None] * way).requires_grad_()
            batch = asked.copies(len(part), model.device)
            log_p = log_probability(scores_of_embeddings(model, batch, points, dtype or model.dtype), asked)
            (gradient,) = torch.autograd.grad(log_p.sum(), points)
            total += gradient.sum(dim=0)
        weights = (way * total / steps).sum(dim=-1)
        with torch.no_grad():
            ends = scores_of_embeddings(
                model, asked.copies(2, model.device), torch.stack((embedded, baseline)), dtype or model.dtype
            )
            here, without = log_probability(ends, asked).tolist()
    return Attribution(_array(weights), float(np.exp(here)), (here - without) - float(weights.sum().detach()))


def masking_test(
    model: Model,
    asked: Asked,
    weights: FloatArray,
    mask_id: int,
    *,
    count: int = 5,
    draws: int = 5,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> MaskingTest:
    """Mask the `count` maskable tokens of largest weight, and as many random other maskable ones, `draws` times (fewer
    where there are fewer).

    The draws are a pure function of `seed` and of which tokens are left. Equal weights: the earlier token.
    """
    places = np.flatnonzero(asked.maskable)
    count = min(count, len(places))
    top = places[np.argsort(-weights[places], kind="stable")[:count]]
    others = np.setdiff1d(places, top)
    rng = np.random.default_rng([seed, len(asked.choosable), 0x4D41534B])
    drawn = [rng.choice(others, min(count, len(others)), replace=False) for _ in range(draws)]
    rows = [np.empty(0, np.int64), top, *drawn]
    with evaluating(model), torch.inference_mode():
        single = asked.copies(1, model.device).input_ids
        ids = single.repeat(len(rows), 1)
        for row, hidden in enumerate(rows):
            ids[row, torch.from_numpy(hidden).to(model.device)] = mask_id
        found: list[float] = []
        for part in _parts(ids, len(single), model):
            batch = replace(asked.copies(len(part), model.device), input_ids=part.reshape(-1))
            scores: Tensor = model.network(batch, None, dtype or model.dtype)
            found += log_probability(scores.view(len(part), -1, 2), asked).exp().tolist()
    before, after, *random = found
    return MaskingTest(tuple(sorted(top.tolist())), before, after, float(np.mean(random)), draws)


def _parts(rows: Tensor, tokens: int, model: Model) -> list[Tensor]:
    """`rows` in parts of as many windows of `tokens` tokens as are computed at once."""
    each = max(1, BATCH_TOKENS * SMALL // max(SMALL, model.parameters) // tokens)
    return [rows[low : low + each] for low in range(0, len(rows), each)]


def _array(values: Tensor) -> FloatArray:
    array: FloatArray = values.detach().float().cpu().numpy()
    return array
