"""Explanations and layers for the answering process: the answer is found first, then asked what it is made of."""

from __future__ import annotations

import time

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.data.segments import CONTEXT
from engine.errors import UsageError
from engine.insight.spans import softmax
from engine.learning.answering import Decoded, LoadedModel, decoded
from engine.learning.batches import make_batch
from engine.learning.encoder.inner import layer_scores
from engine.learning.explain import Asked, gradient_norms, integrated_gradients, masking_test
from engine.messages import (
    Answer,
    AnswerRequest,
    ExplainRequest,
    Explanation,
    Layers,
    LayersRequest,
    MaskingTest,
    Method,
    Opinion,
)

MOST_STEPS = 1000


def explanation(loaded: LoadedModel, request: ExplainRequest) -> Explanation:
    """Find the answer, and what made it. Raises UsageError."""
    if not 1 <= request.steps <= MOST_STEPS or request.masked < 1 or request.draws < 1:
        raise UsageError(
            f"integrated gradients in {request.steps} steps, {request.masked} masked tokens and {request.draws} draws "
            "are no explanation.",
            hint=f"Steps from 1 to {MOST_STEPS}, at least one token and one draw.",
        )
    began = time.monotonic()
    found = _found(loaded, request)
    window, start, end = found.place(0)
    asked = _asked(found, window, start, end)
    opinions = tuple(_opinion(loaded, asked, request, method) for method in request.methods)
    return Explanation(
        id=request.id,
        answer=_answer(found, window),
        start=start,
        end=end,
        probability=_probability(found, asked),
        opinions=opinions,
        seconds=time.monotonic() - began,
    )


def layers(loaded: LoadedModel, request: LayersRequest) -> Layers:
    """The head on every layer, in the answer's window or another one. Raises UsageError, ModelError."""
    began = time.monotonic()
    found = _found(loaded, request)
    answered, start, end = found.place(0)
    window = answered
    if request.window is not None:
        windows = found.windows[0]
        if not 0 <= request.window < len(windows):
            raise UsageError(f"the passage has no window {request.window}; they count from 0 to {len(windows) - 1}.")
        window = windows[request.window]
    if window != answered:
        start = end = -1
    model = loaded.model
    batch = make_batch(found.features, np.array([window]), device=model.device)
    scores = layer_scores(model, batch, model.dtype).cpu().numpy()
    choosable = _choosable(found, window)
    return Layers(
        id=request.id,
        answer=_answer(found, window),
        start=start,
        end=end,
        start_logits=scores[..., 0].tolist(),
        end_logits=scores[..., 1].tolist(),
        start_probability=softmax(scores[..., 0], choosable).tolist(),
        end_probability=softmax(scores[..., 1], choosable).tolist(),
        seconds=time.monotonic() - began,
    )


def _found(loaded: LoadedModel, request: ExplainRequest | LayersRequest) -> Decoded:
    asked = AnswerRequest(
        id=request.id, contexts=(request.context,), questions=((0, request.question),), decision=request.decision
    )
    return decoded(loaded, asked)


def _answer(found: Decoded, window: int) -> Answer:
    return msgspec.structs.replace(found.answer(0), scores=(found.window_scores(0, window),))


def _asked(found: Decoded, window: int, start: int, end: int) -> Asked:
    return Asked(found.features, window, start, end, _choosable(found, window))


def _choosable(found: Decoded, window: int) -> NDArray[np.bool_]:
    features = found.features
    low, high = features.token_offset[window : window + 2].tolist()
    chosen: NDArray[np.bool_] = features.segment[low:high] == CONTEXT
    if found.loaded.source.allow_null:
        chosen[features.null_token[window]] = True
    return chosen


def _probability(found: Decoded, asked: Asked) -> float:
    low, high = asked.features.token_offset[asked.window : asked.window + 2].tolist()
    start, end = softmax(np.stack((found.start[low:high], found.end[low:high])), asked.choosable)
    return float(start[asked.start] * end[asked.end])


def _opinion(loaded: LoadedModel, asked: Asked, request: ExplainRequest, method: Method) -> Opinion:
    model, mask_id = loaded.model, loaded.tokenizer.mask_id
    if method == "gradient":
        found = gradient_norms(model, asked)
    else:
        found = integrated_gradients(model, asked, mask_id, steps=request.steps)
    test = masking_test(
        model, asked, found.weights, mask_id, count=request.masked, draws=request.draws, seed=request.seed
    )
    return Opinion(
        method=method,
        weights=found.weights.tolist(),
        gap=found.gap,
        test=MaskingTest(
            masked=test.masked,
            before=test.before,
            after=test.after,
            after_random=test.after_random,
            draws=test.draws,
        ),
    )
