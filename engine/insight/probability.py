"""One probability for an answer, over everything that could have been answered. NumPy only.

The candidates of a question are all spans of its passage (see engine.insight.spans) and, where it may be predicted, the
null answer. Scores are normalised over all of them at once, over all windows: the shared normalisation of Clark and
Gardner 2018 (arXiv 1710.10723). Windows overlap; a span that several of them hold is one candidate, with its highest
score, and the null answer is one, with its lowest, as in decoding: so the predicted answer is the most probable one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.insight.spans import AnswerRules, Candidate, FloatArray, SpanTable, Window, WindowTable, null_scores

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class SpanSums:
    """Sums over all candidates of N examples, at any temperature.

    exp(start + end) factors, so the sum over the spans that begin with a token takes the sum of the ends within reach,
    and all of them O(tokens). `starts` float64[C] and `ends` (laid out as in `table`) are less the highest of their
    example, which together are `top` float64[N]. `example` int64[C]; `best` float64[N] is the best span's score, `null`
    float64[N] that of the null answer; -inf where there is none. `repeated`: see `_repeated`.
    """

    table: SpanTable
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    example: Indices
    top: NDArray[np.float64]
    best: NDArray[np.float64]
    null: NDArray[np.float64]
    repeated: list[tuple[Indices, Indices]]

    @classmethod
    def of(
        cls,
        features: WindowTable,
        start_logits: FloatArray,
        end_logits: FloatArray,
        n_examples: int,
        rules: AnswerRules,
    ) -> SpanSums:
        """`start_logits`, `end_logits` are float32[T], flat as `features`. The threshold is taken from the null
        answer's score, so that the answer predicted at that threshold is the most probable one (a bias beside the
        temperature, as in Alexandari et al. 2020, arXiv 1901.06852)."""
        table = SpanTable.of(features, start_logits, end_logits, rules.max_answer_length)
        example = np.repeat(features.feature_example, np.diff(table.offset)).astype(np.int64)
        starts, ends = _finite(table.starts), _finite(table.ends)
        top = np.zeros(n_examples)
        for scores, place in ((starts, np.arange(len(starts))), (ends, table.place)):
            highest = _highest(scores[place], example, n_examples)
            highest[~np.isfinite(highest)] = 0.0
            scores[place] -= highest[example]
            top += highest
        null = null_scores(features, start_logits, end_logits, n_examples).astype(np.float64) - rules.null_threshold
        without = ~np.isin(np.arange(n_examples), features.feature_example)
        null[without | (not rules.allow_null)] = -np.inf
        best = _highest(_finite(table.highest()), example, n_examples)
        first_feature = np.searchsorted(features.feature_example, np.arange(n_examples + 1))
        repeated = _repeated(features, table, first_feature)
        return cls(table, starts, ends, example, top, best, null, repeated)

    def log_total(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """float64[N]: log of the sum of exp(score / temperature) over the candidates of each example; -inf without
        any."""
        reach = sum_ahead(np.exp(self.ends / temperature), self.table.width)[self.table.place]
        weights = np.exp(self.starts / temperature) * reach
        total = np.bincount(self.example, weights, len(self.top)) - self._surplus(temperature)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(total) + self.top / temperature
        # Where all shares are too small for a float, the best span's is all there is.
        return np.logaddexp(np.fmax(logs, self.best / temperature), self.null / temperature)

    def _surplus(self, temperature: float) -> NDArray[np.float64]:
        """What spans that several windows hold add to the plain sum: all but their highest score."""
        surplus = np.zeros(len(self.top))
        if not self.repeated:
            return surplus
        tokens = np.unique(np.concatenate([both for pair in self.repeated for both in pair]))
        pairs = [(np.searchsorted(tokens, earlier), np.searchsorted(tokens, later)) for earlier, later in self.repeated]
        for longer in range(self.table.width):
            scores = self.starts[tokens] + self.ends[self.table.place[tokens] + longer]
            for earlier, later in pairs:
                lower = np.minimum(scores[earlier], scores[later])
                scores[later] = np.maximum(scores[earlier], scores[later])
                np.add.at(surplus, self.example[tokens[later]], np.exp(lower / temperature))
        return surplus


def probability(
    scores: NDArray[Any] | float, log_totals: NDArray[np.float64] | float, *, temperature: float = 1.0
) -> NDArray[np.float64]:
    """float64[...]: the probability of candidates with these scores; `log_totals` are SpanSums.log_total at the same
    temperature. 0 where a score is no number."""
    with np.errstate(invalid="ignore", over="ignore"):
        shares = np.exp(np.asarray(scores, np.float64) / temperature - log_totals)
    result: NDArray[np.float64] = np.clip(np.nan_to_num(shares, nan=0.0), 0.0, 1.0)
    return result


def with_probabilities(
    candidates: Sequence[Candidate], windows: Sequence[Window], rules: AnswerRules
) -> list[Candidate]:
    """The candidates of one example with their probabilities among everything that could have been answered, in place
    of their shares of the list; `windows` are all of the example."""
    lengths = [len(window.segment) for window in windows]
    if not lengths:
        return list(candidates)
    table = _Joined(
        feature_example=np.zeros(len(windows), np.int32),
        token_offset=np.concatenate([[0], np.cumsum(lengths)]),
        segment=np.concatenate([window.segment for window in windows]),
        char_start=np.concatenate([window.char_start for window in windows]),
        char_end=np.concatenate([window.char_end for window in windows]),
        null_token=np.array([window.null_token for window in windows], np.int32),
    )
    start, end = (
        np.concatenate([getattr(window, name) for window in windows]) for name in ("start_logits", "end_logits")
    )
    total = SpanSums.of(table, start, end, 1, rules).log_total()
    chances = probability(np.array([one.score for one in candidates]), total).tolist()
    return [replace(one, probability=chance) for one, chance in zip(candidates, chances, strict=True)]


@dataclass(frozen=True)
class _Joined:
    """The windows of one example as a WindowTable."""

    feature_example: NDArray[np.int32]
    token_offset: NDArray[np.int64]
    segment: NDArray[np.int8]
    char_start: NDArray[np.int32]
    char_end: NDArray[np.int32]
    null_token: NDArray[np.int32]


def sum_ahead(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """For each i the sum of values[i : i + width]. Nothing is subtracted, so small sums beside large ones stay exact:
    sums over runs of 1, 2, 4 … values are built by doubling, and those of the binary digits of `width` added up."""
    result, run, size, done = np.zeros_like(values), values.copy(), 1, 0
    while True:
        if width & size:
            result[: len(values) - done] += run[done:]
            done += size
        if done == width:
            return result
        run[:-size] = run[:-size] + run[size:]
        size *= 2


def _finite(scores: FloatArray) -> NDArray[np.float64]:
    """As float64, with a large number for infinity, so that differences are numbers."""
    return np.minimum(scores.astype(np.float64), 1e30)


def _highest(scores: NDArray[np.float64], example: Indices, n_examples: int) -> NDArray[np.float64]:
    highest = np.full(n_examples, -np.inf)
    np.maximum.at(highest, example, scores)
    return highest


def _repeated(features: WindowTable, spans: SpanTable, first_feature: Indices) -> list[tuple[Indices, Indices]]:
    """Tokens of the passage that a window shares with the next one: (theirs in the window, theirs in the next), for
    all first windows, then for all second ones, and so on.

    A span that begins there and that the window holds is one of the next window's too.
    """
    by_place: dict[int, list[tuple[Indices, Indices]]] = {}
    for example in np.flatnonzero(np.diff(first_feature) > 1).tolist():
        low, high = int(first_feature[example]), int(first_feature[example + 1])
        for number, window in enumerate(range(low, high - 1)):
            mine = np.arange(spans.offset[window], spans.offset[window + 1])
            next_ones = np.arange(spans.offset[window + 1], spans.offset[window + 2])
            shared = _shared(features, spans.tokens[mine], spans.tokens[next_ones])
            if shared:
                by_place.setdefault(number, []).append((mine[-shared:], next_ones[:shared]))
    joined = []
    for number in sorted(by_place):
        earlier, later = zip(*by_place[number], strict=True)
        joined.append((np.concatenate(earlier), np.concatenate(later)))
    return joined


def _shared(features: WindowTable, mine: Indices, following: Indices) -> int:
    """How many tokens at the end of a window are the first ones of the next; both are numbers among all tokens."""
    if not len(mine) or not len(following):
        return 0
    starts, ends = features.char_start[mine], features.char_end[mine]
    next_starts, next_ends = features.char_start[following], features.char_end[following]
    begins = np.flatnonzero((starts == next_starts[0]) & (ends == next_ends[0]))
    for begin in begins.tolist():
        size = len(mine) - begin
        if size > len(following):
            continue
        if (starts[begin:] == next_starts[:size]).all() and (ends[begin:] == next_ends[:size]).all():
            return size
    return 0
