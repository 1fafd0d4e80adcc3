"""How Hugging Face's question-answering example turns scores into answers, written from its rules, one by one.

For each window the `k` highest starts are paired with the `k` highest ends over all tokens; a pair counts if both
lie in the passage, the end not before the start and at most `max_answer_length` tokens long. The `k` best pairs of
all windows stay, each with a softmax over those. Null answer: first token as start and end, of the window that
scores it lowest; it always stays, and wins where it exceeds the best span by more than the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.features import Features
from engine.data.segments import CONTEXT

Offsets = list[tuple[int, int] | None]


@dataclass(frozen=True)
class ScoredWindow:
    """Scores of all tokens, padding too; `offsets` are None where a token is not of the passage."""

    start_logits: NDArray[np.float32]
    end_logits: NDArray[np.float32]
    offsets: Offsets


@dataclass(frozen=True)
class Listed:
    """One entry of the n-best list; `span` is None for the null answer."""

    span: tuple[int, int] | None
    score: float
    probability: float


@dataclass(frozen=True)
class Answer:
    text: str
    listed: list[Listed]


def answer(
    context: str,
    windows: Sequence[ScoredWindow],
    *,
    allow_null: bool,
    k: int = 20,
    max_answer_length: int = 30,
    null_threshold: float = 0.0,
) -> Answer:
    """The example's answer to one question; the text "empty" where it has nothing to offer."""
    pairs: list[tuple[np.float32, tuple[int, int] | None]] = []
    null_score: np.float32 | None = None
    for window in windows:
        null_here = window.start_logits[0] + window.end_logits[0]
        if null_score is None or null_here < null_score:
            null_score = null_here
        starts = np.argsort(window.start_logits)[: -k - 1 : -1].tolist()
        ends = np.argsort(window.end_logits)[: -k - 1 : -1].tolist()
        for i in starts:
            for j in ends:
                if i >= len(window.offsets) or j >= len(window.offsets):
                    continue
                first, last = window.offsets[i], window.offsets[j]
                if first is None or last is None or j < i or j - i + 1 > max_answer_length:
                    continue
                pairs.append((window.start_logits[i] + window.end_logits[j], (first[0], last[1])))
    if allow_null and null_score is not None:
        pairs.append((null_score, None))
    pairs.sort(key=lambda pair: pair[0], reverse=True)
    kept = pairs[:k] + [pair for pair in pairs[k:] if pair[1] is None]
    if all(span is None for _, span in kept):
        kept.insert(0, (np.float32(0.0), (-1, -1)))
    scores = np.array([score for score, _ in kept])
    weights = np.exp(scores - scores.max())
    shares = weights / weights.sum()
    listed = [Listed(span, float(score), float(share)) for (score, span), share in zip(kept, shares, strict=True)]
    best = next(entry for entry in listed if entry.span is not None)
    text = "empty" if best.span is None or best.span[0] < 0 else context[best.span[0] : best.span[1]]
    if allow_null and null_score is not None and float(null_score) - best.score > null_threshold:
        text = ""
    return Answer(text, listed)


def scored_windows(
    features: Features, start_logits: NDArray[np.float32], end_logits: NDArray[np.float32], example: int
) -> list[ScoredWindow]:
    """The windows of one example, cut from flat scores."""
    low, high = np.searchsorted(features.feature_example, [example, example + 1]).tolist()
    result = []
    for feature in range(low, high):
        a, b = features.token_offset[feature : feature + 2].tolist()
        places = zip(features.char_start[a:b].tolist(), features.char_end[a:b].tolist(), strict=True)
        offsets: Offsets = [
            place if segment == CONTEXT else None
            for place, segment in zip(places, features.segment[a:b].tolist(), strict=True)
        ]
        result.append(ScoredWindow(start_logits[a:b], end_logits[a:b], offsets))
    return result
