"""From scores to answers: the best span of every example, and the n best of one. NumPy only.

A span runs from token i to token j of the passage, i <= j < i + max_answer_length, within one window; its score
is start_logits[i] + end_logits[j]. The search is exhaustive: Hugging Face's example post-processing pairs the
20 best starts with the 20 best ends, which finds nothing at all for many questions of an untrained model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.data.segments import CONTEXT

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]


class WindowTable(Protocol):
    """What decoding needs of windows: `Features`, or what features.safetensors holds. Arrays as in `Features`."""

    @property
    def feature_example(self) -> NDArray[np.int32]: ...
    @property
    def token_offset(self) -> NDArray[np.int64]: ...
    @property
    def segment(self) -> NDArray[np.int8]: ...
    @property
    def char_start(self) -> NDArray[np.signedinteger[Any]]: ...
    @property
    def char_end(self) -> NDArray[np.signedinteger[Any]]: ...
    @property
    def null_token(self) -> NDArray[np.int32]: ...


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

    @property
    def null_odds(self) -> FloatArray:
        """How far the null answer's score exceeds the best span's: `score_diff` of Hugging Face's SQuAD v2 script."""
        with np.errstate(invalid="ignore"):
            odds: FloatArray = self.null_score - self.score
        return odds

    def with_null(self, threshold: float = 0.0) -> Predictions:
        """The same answers, but the null answer where its odds exceed `threshold`."""
        null = self.null_odds > threshold
        columns = (self.feature, self.start, self.end, self.char_start, self.char_end)
        feature, start, end, char_start, char_end = (np.where(null, np.int32(-1), column) for column in columns)
        return Predictions(feature, start, end, char_start, char_end, self.score, self.null_score)


@dataclass(frozen=True)
class AnswerRules:
    """What may be an answer: spans of at most `max_answer_length` tokens and, with `allow_null`, the null answer, which
    wins where its score exceeds the best span's by more than `null_threshold`."""

    max_answer_length: int
    allow_null: bool = False
    null_threshold: float = 0.0


@dataclass(frozen=True)
class Window:
    """One window's scores and tokens, arrays `[n]`; `segment` is 2 for context tokens."""

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


@dataclass(frozen=True)
class SpanTable:
    """The passage's tokens of all windows, C in all, laid out so that a span never reaches into the next window.

    `tokens` int64[C] are their numbers among all tokens; `offset` int64[F+1] cuts them into windows. The end scores of
    token c's spans are `ends[place[c] : place[c] + width]`: those of 1, 2 … tokens, -inf where there is no such span.
    """

    tokens: NDArray[np.int64]
    offset: NDArray[np.int64]
    place: NDArray[np.int64]
    starts: FloatArray
    ends: FloatArray
    width: int

    @classmethod
    def of(
        cls, features: WindowTable, start_logits: FloatArray, end_logits: FloatArray, max_answer_length: int
    ) -> SpanTable:
        """Of scores float32[T], flat as `features`."""
        is_context = features.segment == CONTEXT
        tokens = np.flatnonzero(is_context)
        offset = np.concatenate([[0], np.cumsum(is_context)])[features.token_offset]
        width = max(1, min(max_answer_length, int(np.diff(offset).max(initial=1))))
        # Laid out with room between windows, no run of `width` tokens reaches into the next window.
        place = np.arange(len(tokens)) + np.repeat(np.arange(len(offset) - 1) * (width - 1), np.diff(offset))
        ends = np.full(len(tokens) + (len(offset) - 1) * (width - 1), -np.inf, np.float32)
        ends[place] = _numbers(end_logits[tokens])
        return cls(tokens, offset, place, _numbers(start_logits[tokens]), ends, width)

    def highest(self) -> FloatArray:
        """float32[C]: the score of the best span that begins with each token."""
        return add_scores(self.starts, _highest_ahead(self.ends, self.width)[self.place])

    def scores(self, longer: int) -> FloatArray:
        """float32[C]: the score of the span that begins with each token and has `longer` tokens more."""
        return add_scores(self.starts, self.ends[self.place + longer])


def decode(
    features: WindowTable,
    start_logits: FloatArray,
    end_logits: FloatArray,
    n_examples: int,
    rules: AnswerRules,
) -> Predictions:
    """The best answer of every example over all its windows; of equal scores the earlier span.

    `start_logits`, `end_logits` are float32[T], flat as `features`.
    """
    spans = SpanTable.of(features, start_logits, end_logits, rules.max_answer_length)
    tokens, offset, place, ends, width = spans.tokens, spans.offset, spans.place, spans.ends, spans.width
    total = spans.highest()

    first_feature = np.searchsorted(features.feature_example, np.arange(n_examples + 1))
    example_offset = offset[first_feature]
    has_span = np.diff(example_offset) > 0
    feature = np.full(n_examples, -1, np.int32)
    start, end, char_start, char_end = (feature.copy() for _ in range(4))
    score = np.full(n_examples, -np.inf, np.float32)
    if has_span.any():
        segments = example_offset[:-1][has_span]
        score[has_span] = np.maximum.reduceat(total, segments)
        best = np.flatnonzero(total == np.repeat(score, np.diff(example_offset)))
        best = best[np.searchsorted(best, segments)]
        ahead = ends[np.minimum(place[best][:, None] + np.arange(width), len(ends) - 1)]
        start_token, end_token = tokens[best], tokens[best + np.argmax(ahead, axis=1)]
        window = np.searchsorted(features.token_offset, start_token, side="right") - 1
        feature[has_span] = window
        start[has_span] = start_token - features.token_offset[window]
        end[has_span] = end_token - features.token_offset[window]
        char_start[has_span] = features.char_start[start_token]
        char_end[has_span] = features.char_end[end_token]

    null_score = null_scores(features, start_logits, end_logits, n_examples)
    found = Predictions(feature, start, end, char_start, char_end, score, null_score)
    return found.with_null(rules.null_threshold) if rules.allow_null else found


def null_scores(features: WindowTable, start_logits: FloatArray, end_logits: FloatArray, n_examples: int) -> FloatArray:
    """float32[N]: the score of each example's null answer, the smallest over its windows; inf without windows."""
    null_score = np.full(n_examples, np.inf, np.float32)
    if len(features.feature_example):
        null_token = features.token_offset[:-1] + features.null_token
        np.minimum.at(
            null_score, features.feature_example, add_scores(start_logits[null_token], end_logits[null_token])
        )
    return null_score


def _numbers(logits: FloatArray) -> FloatArray:
    """The logits with -inf for what is not a number: a model that diverged still has an answer to show."""
    return np.where(np.isnan(logits), np.float32(-np.inf), logits) if np.isnan(logits).any() else logits


def add_scores(starts: FloatArray, ends: FloatArray) -> FloatArray:
    """The sum of start and end scores; -inf where it is not a number."""
    with np.errstate(invalid="ignore", over="ignore"):  # infinite scores
        return _numbers(starts + ends)


def _highest_ahead(values: FloatArray, width: int) -> FloatArray:
    """For each i the largest of values[i : i + width].

    Maxima over runs of 1, 2, 4 … values are built by doubling; two overlapping runs cover any width.
    """
    highest, run = values.copy(), 1
    while run < width:
        step = min(run, width - run)
        np.maximum(highest[:-step], highest[step:], out=highest[:-step])
        run += step
    return highest


def softmax(logits: FloatArray, choosable: NDArray[np.bool_]) -> FloatArray:
    """Probability float32[..., n] of every token among those that may be chosen (`choosable` bool[n]); 0 for the
    others. `logits` is float32[..., n]."""
    masked = np.where(choosable, logits, -np.inf)
    top = masked.max(axis=-1, keepdims=True)
    powers = np.exp(masked - np.where(np.isfinite(top), top, 0.0))
    total = powers.sum(axis=-1, keepdims=True)
    shares: FloatArray = (powers / np.where(total > 0, total, 1.0)).astype(np.float32)
    return shares


def n_best(windows: Sequence[Window], rules: AnswerRules, *, k: int = 20, distinct: bool = True) -> list[Candidate]:
    """The `k` best answers of one example over its windows, best first.

    With `distinct` each stretch of the passage comes once, with its best window; without, once for each window
    that holds it, as in Hugging Face's example. Probabilities are a softmax over the list, as there. The null
    answer, of the window that rates it lowest, is always in the list where it is allowed, even as one more.
    """
    found: list[Candidate] = []
    for window in windows:
        found += _best_of_window(window, k, rules.max_answer_length)
    nulls = []
    for window in windows if rules.allow_null else ():
        null = [window.null_token]
        start, end = _numbers(window.start_logits[null]), _numbers(window.end_logits[null])
        score = float(add_scores(start, end)[0])
        nulls.append(Candidate(window.feature, -1, -1, -1, -1, float(start[0]), float(end[0]), score, 0.0))
    if nulls:
        found.append(min(nulls, key=lambda candidate: candidate.score))
    found.sort(key=lambda candidate: -candidate.score)
    if distinct:
        best: dict[tuple[int, int], Candidate] = {}
        for candidate in found:
            best.setdefault((candidate.char_start, candidate.char_end), candidate)
        found = list(best.values())
    kept = found[:k] + [candidate for candidate in found[k:] if candidate.start < 0]
    if not kept:
        return []
    scores = np.array([candidate.score for candidate in kept])
    with np.errstate(invalid="ignore"):
        weights = np.where(scores == scores[0], 1.0, np.exp(scores - scores[0]))
    shares = (weights / weights.sum()).tolist()
    return [replace(candidate, probability=share) for candidate, share in zip(kept, shares, strict=True)]


def null_odds(candidates: Sequence[Candidate]) -> float | None:
    """The null answer's score minus the best span's, of the answers of one example, best first; None where the null
    answer or every span is missing."""
    null = next((candidate.score for candidate in candidates if candidate.start < 0), None)
    span = next((candidate.score for candidate in candidates if candidate.start >= 0), None)
    return None if null is None or span is None else null - span


def _best_of_window(window: Window, k: int, max_answer_length: int) -> list[Candidate]:
    tokens = np.flatnonzero(window.segment == CONTEXT)
    starts, ends = _numbers(window.start_logits[tokens]), _numbers(window.end_logits[tokens])
    width = min(max_answer_length, len(tokens))
    if not width:
        return []
    room = np.concatenate([ends, np.full(width - 1, -np.inf, np.float32)])
    total = add_scores(starts[:, None], np.lib.stride_tricks.sliding_window_view(room, width)).ravel()
    order = np.argsort(-total, kind="stable")[:k]
    firsts, lasts = order // width, order // width + order % width
    return [
        Candidate(
            feature=window.feature,
            start=int(tokens[i]),
            end=int(tokens[j]),
            char_start=int(window.char_start[tokens[i]]),
            char_end=int(window.char_end[tokens[j]]),
            start_logit=float(starts[i]),
            end_logit=float(ends[j]),
            score=score,
            probability=0.0,
        )
        for i, j, score in zip(firsts.tolist(), lasts.tolist(), total[order].tolist(), strict=True)
        if j < len(tokens)
    ]
