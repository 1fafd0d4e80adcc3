"""How the gold answer stands against the other spans: its probability, and its margins over its rivals. NumPy only.

All spans of an example compete: those that `engine.insight.spans.decode` searches (in the passage, within one window,
at most `max_answer_length` tokens), over all windows of the example, and the null answer where it may be predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data.segments import CONTEXT
from engine.insight.probability import SpanSums
from engine.insight.spans import AnswerRules, FloatArray, SpanTable, WindowTable, add_scores, null_scores

if TYPE_CHECKING:
    from engine.data.examples import Example

MARGINS = ("gold_log_prob", "far_margin", "near_margin", "null_margin", "expected_iou")
"""The columns of `margin_columns`."""
CELLS = 1 << 20
"""Spans looked at together: a few megabytes, whatever the longest answer."""


@dataclass(frozen=True)
class GoldSpans:
    """The gold answers of N examples as tokens.

    `example`, `start`, `end` int64[G]: the distinct spans of tokens (numbers among all context tokens) that are a gold
    answer, for each window that holds it whole; sorted by `start`. `touched` bool[C]: the context token shares a
    character with a gold answer. `impossible` bool[N]: the null answer is the gold one.
    """

    example: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    answer: NDArray[np.int64]
    char_start: NDArray[np.int64]
    char_end: NDArray[np.int64]
    touched: NDArray[np.bool_]
    impossible: NDArray[np.bool_]


def gold_spans(examples: Sequence[Example], windows: WindowTable) -> GoldSpans:
    """The gold answers, all of them, in the tokens of the windows. They are the same at every snapshot."""
    is_context = windows.segment == CONTEXT
    tokens = np.flatnonzero(is_context)
    offset = np.concatenate([[0], np.cumsum(is_context)])[windows.token_offset]
    # One entry for each pair of a window and an answer of its example.
    n_answers = np.array([len(example.answers) for example in examples], np.int64)
    answers = [answer for example in examples for answer in example.answers]
    low = np.array([answer.start for answer in answers], np.int64)
    high = low + np.array([len(answer.text) for answer in answers], np.int64)
    example_of = windows.feature_example.astype(np.int64)
    pairs = n_answers[example_of]
    window = np.repeat(np.arange(len(example_of)), pairs)
    within = np.arange(len(window)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    answer = np.repeat((np.cumsum(n_answers) - n_answers)[example_of], pairs) + within

    # First and last token that share a character with the answer. Running extremes keep the keys sorted.
    room = 2 + max(int(windows.char_end.max(initial=0)), int(high.max(initial=0)))
    place = np.repeat(np.arange(len(example_of)) * room, np.diff(offset))
    ends = np.maximum.accumulate(place + windows.char_end[tokens])
    starts = np.minimum.accumulate((place + windows.char_start[tokens])[::-1])[::-1]
    first = np.searchsorted(ends, window * room + low[answer], side="right")
    last = np.searchsorted(starts, window * room + high[answer], side="left") - 1
    found = (first <= last) & (first >= offset[window]) & (last < offset[window + 1])
    window, answer, first, last = window[found], answer[found], first[found], last[found]
    edges = np.zeros(len(tokens) + 1, np.int64)
    np.add.at(edges, first, 1)
    np.add.at(edges, last + 1, -1)

    # A window holds an answer whole if it holds the first and the last of all tokens that share a character with it.
    low_char = windows.char_start[tokens[first]].astype(np.int64)
    high_char = windows.char_end[tokens[last]].astype(np.int64)
    lowest, highest = np.full(len(answers), room), np.full(len(answers), -1)
    np.minimum.at(lowest, answer, low_char)
    np.maximum.at(highest, answer, high_char)
    whole = (low_char == lowest[answer]) & (high_char == highest[answer])
    spans = np.unique(np.stack([first[whole], last[whole]], axis=1), axis=0)
    owner = example_of[np.searchsorted(offset, spans[:, 0], side="right") - 1]
    from_char, to_char = windows.char_start[tokens[spans[:, 0]]], windows.char_end[tokens[spans[:, 1]]]
    same = np.unique(np.stack([owner, from_char, to_char], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    places = [sorted({(gold.start, gold.start + len(gold.text)) for gold in example.answers}) for example in examples]
    chars = np.full((2, len(examples), max(map(len, places), default=0)), -1, np.int64)
    for number, of_example in enumerate(places):
        chars[:, number, : len(of_example)] = np.array(of_example, np.int64).reshape(-1, 2).T
    impossible = np.fromiter((example.is_impossible for example in examples), np.bool_, len(examples))
    return GoldSpans(owner, spans[:, 0], spans[:, 1], same, chars[0], chars[1], np.cumsum(edges)[:-1] > 0, impossible)


def margin_columns(
    windows: WindowTable,
    gold: GoldSpans,
    start_logits: FloatArray,
    end_logits: FloatArray,
    *,
    max_answer_length: int,
    allow_null: bool,
) -> dict[str, FloatArray]:
    """The columns MARGINS, float32[N] each, of one snapshot; `start_logits` and `end_logits` are float32[T].

    `gold_log_prob`: log of the share of exp(score) that the gold spans have among all spans, summed over distinct
    gold spans and normalised over all windows (shared norm: Clark & Gardner 2018, arXiv 1710.10723). The margins are
    the best gold span's score minus the best rival's (Pleiss et al. 2020, arXiv 2001.10528, with rivals split by
    where they stand): `far_margin`, rivals that share no token with any gold answer; `near_margin`, rivals that do
    and are none; `null_margin`, the null answer, whose score is the lowest of the example's windows as in `decode`.
    `expected_iou`: the mean over all spans of all windows, weighted by exp(score), of characters shared with the gold
    answer over those that either has, the best of several golds: the column `iou` as it would be on average if answers
    were drawn by their probability.

    Where the null answer is the gold one it takes the gold span's place: all spans are far, none is near.
    NaN: no rival of the kind, or no window holds a gold answer whole.
    """
    n_examples = len(gold.impossible)
    table = SpanTable.of(windows, start_logits, end_logits, max_answer_length)
    sums = SpanSums.of(
        windows, start_logits, end_logits, n_examples, AnswerRules(max_answer_length, allow_null=allow_null)
    )
    everything = sums.log_total()
    each_window = replace(sums, repeated=[]).log_total() if sums.repeated else everything
    far, near, overlap = _rivals(windows, table, gold, each_window)
    null = null_scores(windows, start_logits, end_logits, n_examples)

    scores = add_scores(table.starts[gold.start], table.ends[table.place[gold.end]]).astype(np.float64)
    n_answers = int(gold.answer.max(initial=-1)) + 1
    of_answer, owner, longer = np.full(n_answers, -np.inf), np.zeros(n_answers, np.int64), np.zeros(n_answers, np.bool_)
    np.maximum.at(of_answer, gold.answer, scores)
    owner[gold.answer] = gold.example
    longer[gold.answer] = gold.end - gold.start >= table.width
    score, mass = np.full(n_examples, -np.inf), np.full(n_examples, -np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        np.maximum.at(score, owner, of_answer)
        np.logaddexp.at(mass, owner, of_answer)
        np.logaddexp.at(everything, owner[longer], of_answer[longer])
        if allow_null:
            score[gold.impossible] = mass[gold.impossible] = null[gold.impossible]
        log_prob = np.minimum(mass - everything, 0.0)
        against_null = np.where(allow_null & ~gold.impossible, score - null, np.nan)
        overlap = np.where(gold.impossible, np.exp(log_prob), np.where(np.isfinite(log_prob), overlap, np.nan))
        values: tuple[NDArray[Any], ...] = (log_prob, score - far, score - near, against_null, overlap)
        columns = zip(MARGINS, values, strict=True)
        return {name: np.where(np.isfinite(values), values, np.nan).astype(np.float32) for name, values in columns}


def _rivals(
    windows: WindowTable, table: SpanTable, gold: GoldSpans, log_totals: NDArray[np.float64]
) -> tuple[FloatArray, FloatArray, NDArray[np.float64]]:
    """Scores float32[N] of the best span that touches no gold answer, and of the best that touches one and is none; and
    the expected overlap float64[N]. `log_totals` float64[N] are over all spans of all windows."""
    # Only spans that start on a touched token, or fewer than `width` tokens before one, can touch a gold answer.
    n_tokens = len(table.tokens)
    numbers = np.arange(n_tokens)
    touched_next = np.minimum.accumulate(np.where(gold.touched, numbers, n_tokens)[::-1])[::-1]
    in_window = touched_next < np.repeat(table.offset[1:], np.diff(table.offset))
    rows = np.flatnonzero(in_window & (touched_next - numbers < table.width))
    reach = touched_next[rows] - rows
    example = windows.feature_example[np.searchsorted(table.offset, rows, side="right") - 1]
    first_char, end_char = windows.char_start[table.tokens[rows]], np.zeros(len(table.ends), np.int32)
    end_char[table.place] = windows.char_end[table.tokens]
    with np.errstate(invalid="ignore"):
        weight = (table.starts[rows] - log_totals[example]).astype(np.float32)

    apart, touching, overlap = (np.empty(len(rows), np.float32) for _ in range(3))
    inside = gold.end - gold.start < table.width
    gold_row, gold_length = np.searchsorted(rows, gold.start[inside]), (gold.end - gold.start)[inside]
    steps = np.arange(table.width)
    at_once = max(1, CELLS // table.width)
    for lo in range(0, len(rows), at_once):
        hi = min(lo + at_once, len(rows))
        place = table.place[rows[lo:hi]][:, None] + steps
        ends = table.ends[place]
        is_apart = steps < reach[lo:hi, None]
        apart[lo:hi] = np.max(ends, axis=1, where=is_apart, initial=-np.inf)
        with np.errstate(invalid="ignore", over="ignore"):
            share = np.exp(weight[lo:hi, None] + ends)
            share *= _overlap(gold, example[lo:hi], first_char[lo:hi], end_char[place])
        overlap[lo:hi] = np.sum(share, axis=1, where=~is_apart)
        first, last = np.searchsorted(gold_row, [lo, hi])
        ends[gold_row[first:last] - lo, gold_length[first:last]] = -np.inf
        touching[lo:hi] = np.max(ends, axis=1, where=~is_apart, initial=-np.inf)
    far, near = table.highest(), np.full(n_tokens, -np.inf, np.float32)
    far[rows] = add_scores(table.starts[rows], apart)
    near[rows] = add_scores(table.starts[rows], touching)
    n_examples = len(gold.impossible)
    offset = table.offset[np.searchsorted(windows.feature_example, np.arange(n_examples + 1))]
    best_far, best_near = (_highest(scores, offset) for scores in (far, near))
    return best_far, best_near, np.minimum(np.bincount(example, overlap, n_examples), 1.0)


def _overlap(
    gold: GoldSpans, example: NDArray[np.int32], start: NDArray[np.signedinteger[Any]], end: NDArray[np.int32]
) -> FloatArray:
    """float32[R, W]: characters that spans share with the best fitting gold answer, over those that either has. The
    spans of row r belong to `example` int32[R]; they begin at `start` [R] and end at `end` int32[R, W]."""
    best = np.zeros(end.shape, np.float32)
    first = start[:, None].astype(np.int32)
    for answer in range(gold.char_start.shape[1]):
        low, high = (chars[example, answer].astype(np.int32) for chars in (gold.char_start, gold.char_end))
        some = np.flatnonzero(low >= 0)
        if not len(some):
            continue
        at = slice(None) if len(some) == len(low) else some
        low, high = low[at, None], high[at, None]
        shared = np.minimum(end[at], high) - np.maximum(first[at], low)
        union = np.maximum(end[at], high) - np.minimum(first[at], low)
        best[at] = np.maximum(best[at], shared.astype(np.float32) / union)
    return best


def _highest(scores: FloatArray, offset: NDArray[np.int64]) -> FloatArray:
    """float32[N]: the highest of each example's scores float32[C], cut by `offset` int64[N+1]; -inf without any."""
    highest = np.full(len(offset) - 1, -np.inf, np.float32)
    filled = np.diff(offset) > 0
    if filled.any():
        highest[filled] = np.maximum.reduceat(scores, offset[:-1][filled])
    return highest
