"""From the scores of all tokens to a snapshot's columns and metrics. A pure function, NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.config import F1Units
from engine.data.segments import CONTEXT
from engine.events import Metrics, metric_table
from engine.insight.metrics import Golds, best_threshold, percentage, prepare_golds, written_without_spaces
from engine.insight.spans import AnswerRules, FloatArray, Predictions, decode

if TYPE_CHECKING:
    from engine.data.examples import Example
    from engine.data.features import Features


MAY_BE_MISSING = frozenset(field.name for field in msgspec.structs.fields(Metrics) if not field.required)
"""Metrics that are None where no example has a finite value."""


def prepared(examples: Sequence[Example], *, allow_null: bool, f1: F1Units = "auto") -> Golds:
    """The examples' golds, normalised; SQuAD v2.0's rules where there are unanswerable questions."""
    answers = [[answer.text for answer in example.answers] for example in examples]
    return prepare_golds(answers, v2=allow_null, by_character=is_by_character(examples, f1))


def is_by_character(examples: Iterable[Example], f1: F1Units = "auto") -> bool:
    """Whether EM and F1 count characters: as `f1` says, or "auto" where most answers are written without spaces."""
    if f1 != "auto":
        return f1 == "characters"
    return written_without_spaces(answer.text for example in examples for answer in example.answers)


def score_snapshot(
    examples: Sequence[Example],
    features: Features,
    start_logits: FloatArray,
    end_logits: FloatArray,
    *,
    max_answer_length: int,
    allow_null: bool,
    seen: NDArray[np.bool_] | None = None,
    golds: Golds | None = None,
) -> tuple[dict[str, NDArray[Any]], Metrics, Metrics | None, Metrics | None]:
    """Per-example columns (see engine.rundir.snapshot.COLUMNS) and metrics over all, seen and unseen examples.

    `start_logits`, `end_logits` are float32[T], flat as `features`; `seen` bool[N] says whose passage stands in
    the training set too (None: the two are not separated). Seen and unseen are None unless both occur.
    """
    golds = golds or prepared(examples, allow_null=allow_null)
    spans = decode(features, start_logits, end_logits, len(examples), AnswerRules(max_answer_length))
    predicted = spans.with_null() if allow_null else spans
    span_texts = [
        example.context[start:end] if start >= 0 else ""
        for example, start, end in zip(examples, spans.char_start.tolist(), spans.char_end.tolist(), strict=True)
    ]
    null = predicted.char_start < 0
    exact, f1 = golds.score([text if not is_null else "" for text, is_null in zip(span_texts, null, strict=True)])
    window = _gold_windows(features, len(examples))
    start_correct, end_correct = _correct(examples, features, predicted, window)
    start_log, end_log = (
        _gold_log_probability(features, logits, gold, window, examples, allow_null)
        for logits, gold in ((start_logits, features.gold_start), (end_logits, features.gold_end))
    )
    columns: dict[str, NDArray[Any]] = {
        "pred_feature": predicted.feature,
        "pred_start": predicted.start,
        "pred_end": predicted.end,
        "pred_char_start": predicted.char_start,
        "pred_char_end": predicted.char_end,
        "score": predicted.score,
        "null_score": predicted.null_score,
        "gold_start_prob": np.exp(start_log),
        "gold_end_prob": np.exp(end_log),
        "start_correct": start_correct,
        "end_correct": end_correct,
        "iou": _overlap(examples, predicted),
        "exact_match": exact,
        "f1": f1,
    }
    others: dict[str, NDArray[Any]] = {"loss": -(start_log + end_log) / 2}
    has_answer = golds.has_answer
    for name, scores in (("exact_match", exact), ("f1", f1)):
        others[f"has_answer_{name}"] = np.where(has_answer, scores, np.nan)
        others[f"no_answer_{name}"] = np.where(has_answer, np.nan, scores)
    # What the best spans score where "no answer" beat them: the thresholds are searched over all of them.
    beaten = golds.score([text if is_null else None for text, is_null in zip(span_texts, null, strict=True)])
    span_scores = [np.where(null, raw, scored) for raw, scored in zip(beaten, (exact, f1), strict=True)]

    def metrics(rows: NDArray[np.bool_]) -> Metrics:
        means = mean_metrics({name: values[rows] for name, values in (columns | others).items()})
        if has_answer[rows].all():
            return msgspec.structs.replace(means, has_answer_exact_match=None, has_answer_f1=None)
        texts = [span_texts[row] for row in np.flatnonzero(rows)]
        odds = np.nan_to_num(spans.null_odds[rows].astype(np.float64), nan=np.inf, posinf=np.inf, neginf=-np.inf)
        best_exact, best_f1 = (best_threshold(raw[rows], texts, odds, has_answer[rows]) for raw in span_scores)
        return msgspec.structs.replace(
            means,
            best_exact_match=best_exact[0],
            best_exact_threshold=best_exact[1] if np.isfinite(best_exact[1]) else None,
            best_f1=best_f1[0],
            best_f1_threshold=best_f1[1] if np.isfinite(best_f1[1]) else None,
        )

    everything = metrics(np.ones(len(examples), np.bool_))
    if seen is None or seen.all() or not seen.any():
        return columns, everything, None, None
    return columns, everything, metrics(seen), metrics(~seen)


def mean_metrics(arrays: Mapping[str, NDArray[Any]]) -> Metrics:
    """The metrics of some examples from their per-example arrays, each named as in `Metric.mean_of`.

    Means are added up in order, as the official scripts do; without a finite value they are 0, or None where the
    metric may be missing.
    """
    means: dict[str, float] = {}
    for name, metric in metric_table().items():
        if name in MAY_BE_MISSING and metric.mean_of not in arrays:
            continue
        values = arrays[metric.mean_of]
        finite = values[np.isfinite(values)]
        if len(finite) or name not in MAY_BE_MISSING:
            means[name] = percentage(finite, metric.scale)
    return Metrics(examples=len(next(iter(arrays.values()))), **means)


def _gold_windows(features: Features, n_examples: int) -> NDArray[np.int64]:
    """For each example the first window that holds its gold answer whole, else -1."""
    window = np.full(n_examples, -1, np.int64)
    holding = np.flatnonzero(features.gold_start >= 0)[::-1]
    window[features.feature_example[holding]] = holding
    return window


def _correct(
    examples: Sequence[Example], features: Features, predicted: Predictions, window: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool[N] each: the predicted start, and end, is the first gold answer's; `window` int64[N] as `_gold_windows`."""
    # Windows overlap: the same token of the passage has one place in it, but several token numbers.
    held = window >= 0
    first = features.token_offset[window[held]]
    impossible = np.fromiter((e.is_impossible for e in examples), np.bool_, len(examples))
    null = predicted.feature < 0
    results = []
    for gold, place, found in (
        (features.gold_start, features.char_start, predicted.char_start),
        (features.gold_end, features.char_end, predicted.char_end),
    ):
        correct = impossible & null
        correct[held] = ~null[held] & (place[first + gold[window[held]]] == found[held])
        results.append(correct)
    return results[0], results[1]


def _gold_log_probability(
    features: Features,
    logits: FloatArray,
    gold: NDArray[np.int32],
    window: NDArray[np.int64],
    examples: Sequence[Example],
    allow_null: bool,
) -> NDArray[np.float64]:
    """Log of the gold token's share among the tokens of its window that may be chosen; -inf where none is."""
    choosable = features.segment == CONTEXT
    if allow_null:
        choosable[features.token_offset[:-1] + features.null_token] = True
    masked = np.where(choosable, logits, -np.inf).astype(np.float32)
    starts = features.token_offset[:-1]
    target = np.full(len(examples), -1, np.int64)  # window whose tokens share, and the token that is to win
    held = window >= 0
    target[held] = starts[window[held]] + gold[window[held]]
    if allow_null:
        impossible = np.flatnonzero(np.fromiter((e.is_impossible for e in examples), np.bool_, len(examples)))
        window = window.copy()
        window[impossible] = np.searchsorted(features.feature_example, impossible)
        target[impossible] = starts[window[impossible]] + features.null_token[window[impossible]]
    result = np.full(len(examples), -np.inf)
    scored = np.flatnonzero(target >= 0)
    if not len(scored):
        return result
    with np.errstate(invalid="ignore", divide="ignore"):  # scores of a model that diverged
        highest = np.maximum.reduceat(masked, starts)
        masked -= np.repeat(highest, np.diff(features.token_offset))
        total = np.add.reduceat(np.exp(masked, out=masked), starts, dtype=np.float64)
        shares = (logits[target[scored]].astype(np.float64) - highest[window[scored]]) - np.log(total[window[scored]])
    result[scored] = np.where(np.isnan(shares), -np.inf, shares)
    return result


def _overlap(examples: Sequence[Example], predicted: Predictions) -> NDArray[np.float64]:
    """Characters that prediction and first gold answer share, over those that either has; 1 for null on null."""
    gold_start = np.array([e.answers[0].start if e.answers else -1 for e in examples])
    gold_end = np.array([e.answers[0].start + len(e.answers[0].text) if e.answers else -1 for e in examples])
    shared = np.minimum(gold_end, predicted.char_end) - np.maximum(gold_start, predicted.char_start)
    union = np.maximum(gold_end, predicted.char_end) - np.minimum(gold_start, predicted.char_start)
    both = (gold_start >= 0) & (predicted.char_start >= 0)
    neither = (gold_start < 0) & (predicted.char_start < 0)
    return np.where(both, np.clip(shared, 0, None) / np.maximum(union, 1), neither.astype(float))
