"""From scores to answers: the best span of every example, and the n best of one. NumPy only.

A span runs from token i to token j of the passage, i <= j < i + max_answer_length, within one window; its score
is start_logits[i] + end_logits[j]. The search is exhaustive: Hugging Face's example post-processing pairs the
20 best starts with the 20 best ends, which finds nothing at all for many questions of an untrained model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.data.features import Features

CONTEXT = 2
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class Predictions:
    """One answer for each example, arrays `[N]`.

    `feature` is the window of the answer; `start`, `end` count from its first token; `char_start`, `char_end`
    are code points of the passage; all int32, -1 for no answer. `score` float32 is the best span's, also where
    no answer won; `null_score` float32 the smallest score of the null answer over the example's windows.
    """

    feature: IntArray
    start: IntArray
    end: IntArray
    char_start: IntArray
    char_end: IntArray
    score: FloatArray
    null_score: FloatArray


@dataclass(frozen=True)
class Window:
    """One window's scores and tokens, arrays `[n]`; `segment` tells context tokens (2) from others."""

    feature: int
    start_logits: FloatArray
    end_logits: FloatArray
    segment: NDArray[np.int8]
    char_start: IntArray
    char_end: IntArray
    null_token: int


@dataclass(frozen=True)
class Candidate:
    """A possible answer; `start` and `end` are -1 for the null answer. `probability` is its share of the list."""

    feature: int
    start: int
    end: int
    char_start: int
    char_end: int
    start_logit: float
    end_logit: float
    score: float
    probability: float


def decode(
    features: Features,
    start_logits: FloatArray,
    end_logits: FloatArray,
    n_examples: int,
    *,
    max_answer_length: int,
    allow_null: bool,
    null_threshold: float = 0.0,
) -> Predictions:
    """The best answer of every example over all its windows.

    `start_logits`, `end_logits` are float32[T], flat as `features`. With `allow_null` the null answer wins where
    its score exceeds the best span's by more than `null_threshold`. Equal scores: the earlier span.
    """
    n_features = len(features.feature_example)
    is_context = features.segment == CONTEXT
    tokens = np.flatnonzero(is_context)
    offset = np.concatenate([[0], np.cumsum(is_context)])[features.token_offset]
    last = np.repeat(offset[1:], np.diff(offset))  # where each context token's window ends
    best_end_score, best_end = _best_ends(end_logits[tokens], last, max_answer_length)
    total = start_logits[tokens] + best_end_score

    first_feature = np.searchsorted(features.feature_example, np.arange(n_examples + 1))
    example_offset = offset[first_feature]
    has_span = np.diff(example_offset) > 0
    feature = np.full(n_examples, -1, np.int32)
    start, end, char_start, char_end = (feature.copy() for _ in range(4))
    score = np.full(n_examples, -np.inf, np.float32)
    if has_span.any():
        segments = example_offset[:-1][has_span]
        score[has_span] = np.maximum.reduceat(total, segments)
        is_best = total == np.repeat(score[has_span], np.diff(example_offset)[has_span])
        best = np.flatnonzero(is_best)
        best = best[np.searchsorted(best, segments)]
        start_token, end_token = tokens[best], tokens[best_end[best]]
        window = np.searchsorted(features.token_offset, start_token, side="right") - 1
        feature[has_span] = window
        start[has_span] = start_token - features.token_offset[window]
        end[has_span] = end_token - features.token_offset[window]
        char_start[has_span] = features.char_start[start_token]
        char_end[has_span] = features.char_end[end_token]

    null_score = np.full(n_examples, np.inf, np.float32)
    if n_features:
        null_token = features.token_offset[:-1] + features.null_token
        np.minimum.at(null_score, features.feature_example, start_logits[null_token] + end_logits[null_token])
    if allow_null:
        null_wins = null_score - score > null_threshold
        for column in (feature, start, end, char_start, char_end):
            column[null_wins] = -1
    return Predictions(feature, start, end, char_start, char_end, score, null_score)


def _best_ends(end: FloatArray, last: NDArray[Any], longest: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """For each token i the largest of end[i : min(i + longest, last[i])] and where it stands (the first of equals).

    Maxima over runs of 1, 2, 4 … tokens are built by doubling; two overlapping runs cover any length.
    """
    count = len(end)
    here = np.arange(count)
    reach = np.minimum(here + longest, last)
    level = np.frexp((reach - here).astype(np.float64))[1] - 1  # floor(log2(length))
    value, place = end.copy(), here.copy()
    best, best_place = end.copy(), here.copy()
    top = int(level.max(initial=0))
    for k in range(top + 1):
        rows = np.flatnonzero(level == k)
        other = reach[rows] - (1 << k)
        take = value[other] > value[rows]
        best[rows] = np.where(take, value[other], value[rows])
        best_place[rows] = np.where(take, place[other], place[rows])
        if k < top:
            step = 1 << k
            ahead, ahead_place = value[step:], place[step:]
            wins = ahead > value[:-step]
            value = np.concatenate([np.where(wins, ahead, value[:-step]), value[-step:]])
            place = np.concatenate([np.where(wins, ahead_place, place[:-step]), place[-step:]])
    return best, best_place


def n_best(windows: Sequence[Window], *, k: int = 20, max_answer_length: int, allow_null: bool) -> list[Candidate]:
    """The `k` best answers of one example over its windows, best first.

    Each stretch of the passage comes once, with its best window. Probabilities are a softmax over the list, as
    in Hugging Face's example; with `allow_null` the null answer (of the window that rates it lowest) is in it.
    """
    found: dict[tuple[int, int], Candidate] = {}
    for window in windows:
        tokens = np.flatnonzero(window.segment == CONTEXT)
        if not len(tokens):
            continue
        starts, ends = window.start_logits[tokens], window.end_logits[tokens]
        width = min(max_answer_length, len(tokens))
        at = np.arange(len(tokens))[:, None] + np.arange(width)
        total = np.where(at < len(tokens), starts[:, None] + ends[np.minimum(at, len(tokens) - 1)], -np.inf).ravel()
        order = np.argsort(-total, kind="stable")[:k]
        for i, j in zip((order // width).tolist(), (order // width + order % width).tolist(), strict=True):
            if j >= len(tokens):
                continue
            span = (int(window.char_start[tokens[i]]), int(window.char_end[tokens[j]]))
            score = float(starts[i] + ends[j])
            if span not in found or found[span].score < score:
                found[span] = Candidate(
                    window.feature, int(tokens[i]), int(tokens[j]), *span, float(starts[i]), float(ends[j]), score, 0.0
                )
    candidates = list(found.values())
    if allow_null and windows:
        nulls = [
            Candidate(w.feature, -1, -1, -1, -1, float(s), float(e), float(s + e), 0.0)
            for w in windows
            for s, e in [(w.start_logits[w.null_token], w.end_logits[w.null_token])]
        ]
        candidates.append(min(nulls, key=lambda candidate: candidate.score))
    candidates.sort(key=lambda candidate: -candidate.score)
    candidates = candidates[:k]
    if not candidates:
        return []
    weights = np.exp(np.array([c.score for c in candidates]) - candidates[0].score)
    shares = weights / weights.sum()
    return [
        Candidate(c.feature, c.start, c.end, c.char_start, c.char_end, c.start_logit, c.end_logit, c.score, float(p))
        for c, p in zip(candidates, shares, strict=True)
    ]
