"""How far an answer's probability can be trusted: temperature, calibration error, coverage. NumPy only.

The confidence of an answer is its probability among all answers of its question (engine.insight.probability), and it is
right where it matches a gold answer exactly. One temperature divides all scores (Guo et al. 2017, arXiv 1706.04599); it
minimises the log loss of "right or not" on one half of the eval set, since several spans of a passage may be right
(as for QA in Kamath et al. 2020, arXiv 2006.09462). What is reported is measured on the other half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.insight.metrics import Golds, best_threshold, percentage
from engine.insight.probability import SpanSums, probability
from engine.insight.spans import AnswerRules, FloatArray, WindowTable, decode

if TYPE_CHECKING:
    from engine.data.examples import Example

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SCHEMA = 1
BINS = 15
"""As many as in Guo et al. 2017."""
COARSEST, FINEST = 0.1, 10.0
"""Bounds of the temperature."""
GRID, NARROWINGS = 9, 10
GOLDEN = (5**0.5 - 1) / 2


class Bin(Struct, frozen=True):
    """Answers whose confidence lies in one of the equal bins of 0 to 1: how many, their mean confidence, and the share
    of right ones (0 and 0 for an empty bin)."""

    count: int
    confidence: float
    accuracy: float


class Coverage(Struct, frozen=True):
    """Of the questions whose answer has at least `confidence`: their `share` (0 to 1) of all, their EM and F1 (0 to
    100)."""

    confidence: float
    share: float
    exact_match: float
    f1: float


class Calibration(Struct, frozen=True, kw_only=True):
    """qa_calibration.json: what makes a checkpoint's probabilities honest, and how honest they are.

    `temperature` divides the scores. "No answer" wins where its score exceeds the best span's by more than
    `no_answer_threshold`, and its probability counts its score less that (None where it may not be predicted). Both
    are fitted on `fitted_on` questions. All else is of the `held_out` other ones: expected calibration error and bins,
    before (temperature 1) and after; `coverage` at confidence 0, 0.01 … as far as there are answers; EM and F1 at the
    threshold, and F1 at threshold 0.
    `by_passage`: no passage is in both halves.
    """

    step: int
    temperature: float
    no_answer_threshold: float | None
    fitted_on: int
    held_out: int
    by_passage: bool
    error_before: float
    error_after: float
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]
    coverage: tuple[Coverage, ...]
    exact_match: float
    f1: float
    f1_at_zero: float
    schema: int = SCHEMA


def decode_calibration(data: bytes) -> Calibration | None:
    """A calibration from JSON; None where it is damaged, or of a newer version that changed what this one knows."""
    try:
        found = msgspec.json.decode(data, type=Calibration)
    except msgspec.MsgspecError:
        return None
    sane = np.isfinite(found.temperature) and found.temperature > 0
    return found if sane and found.schema <= SCHEMA else None


def calibrate(
    examples: Sequence[Example],
    windows: WindowTable,
    start_logits: FloatArray,
    end_logits: FloatArray,
    golds: Golds,
    *,
    step: int,
    max_answer_length: int,
    allow_null: bool,
) -> Calibration:
    """Temperature and no-answer threshold of a snapshot, with their effect; scores are float32[T], flat as `windows`.

    Deterministic: the halves depend on the passages alone.
    """
    fit, by_passage = fitting_half([example.context for example in examples])
    held = ~fit
    spans = decode(windows, start_logits, end_logits, len(examples), AnswerRules(max_answer_length))
    bounds = zip(examples, spans.char_start.tolist(), spans.char_end.tolist(), strict=True)
    texts = [example.context[low:high] if low >= 0 else "" for example, low, high in bounds]
    of_spans = golds.score(texts)
    odds = np.nan_to_num(spans.null_odds.astype(np.float64), nan=np.inf, posinf=np.inf, neginf=-np.inf)
    is_right_null = (~golds.has_answer).astype(np.float64)

    def scored(threshold: float) -> tuple[Floats, Floats, Bools]:
        """EM and F1 (0 to 1) where "no answer" wins above `threshold`, and where it does."""
        null = odds > threshold if allow_null else np.zeros(len(examples), np.bool_)
        exact, f1 = (np.where(null, is_right_null, scores) for scores in of_spans)
        return exact, f1, null

    threshold = 0.0
    has_answer = golds.has_answer[fit]
    if allow_null and has_answer.any() and not has_answer.all():
        _, found = best_threshold(
            of_spans[1][fit], [t for t, f in zip(texts, fit, strict=True) if f], odds[fit], has_answer
        )
        if np.isfinite(found) and scored(found)[1][fit].sum() > scored(0.0)[1][fit].sum():
            threshold = found
    exact, f1, null = scored(threshold)
    answer_score = np.where(null, spans.null_score.astype(np.float64) - threshold, spans.score)
    sums = SpanSums.of(
        windows,
        start_logits,
        end_logits,
        len(examples),
        AnswerRules(max_answer_length, allow_null=allow_null, null_threshold=threshold),
    )

    def confidence(temperature: float) -> Floats:
        return probability(answer_score, sums.log_total(temperature), temperature=temperature)

    right = exact >= 1
    temperature = fit_temperature(lambda value: confidence(value)[fit], right[fit])
    before, after = confidence(1.0)[held], confidence(temperature)[held]
    bins_before, bins_after = reliability(before, right[held]), reliability(after, right[held])
    return Calibration(
        step=step,
        temperature=temperature,
        no_answer_threshold=threshold if allow_null else None,
        fitted_on=int(fit.sum()),
        held_out=int(held.sum()),
        by_passage=by_passage,
        error_before=expected_error(bins_before),
        error_after=expected_error(bins_after),
        before=bins_before,
        after=bins_after,
        coverage=coverage(after, exact[held], f1[held]),
        exact_match=percentage(exact[held]),
        f1=percentage(f1[held]),
        f1_at_zero=percentage(scored(0.0)[1][held]),
    )


def fitting_half(contexts: Sequence[str]) -> tuple[Bools, bool]:
    """bool[N]: the examples to fit on, those of every second passage in the order of their SHA-256; and whether the
    halves share no passage. Every second example where there is one passage only."""
    digests = {context: hashlib.sha256(context.encode("utf-8", "surrogatepass")).digest() for context in set(contexts)}
    if len(digests) < 2:
        return np.arange(len(contexts)) % 2 == 0, False
    chosen = set(sorted(digests.values())[::2])
    return np.fromiter((digests[context] in chosen for context in contexts), np.bool_, len(contexts)), True


def fit_temperature(confidence: Callable[[float], Floats], right: Bools) -> float:
    """The temperature, 0.1 to 10, with the smallest log loss of `right` bool[N] under `confidence(temperature)`
    float64[N]. A weak prior (its logarithm is standard normal) decides where few examples can't."""

    def loss(log_temperature: float) -> float:
        p = np.clip(confidence(float(np.exp(log_temperature))), 1e-12, 1 - 1e-12)
        return float(-np.log(np.where(right, p, 1 - p)).sum() + log_temperature**2 / 2)

    if not len(right):
        return 1.0
    grid = np.linspace(np.log(COARSEST), np.log(FINEST), GRID)
    best = int(np.argmin([loss(value) for value in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    # Golden-section search (Kiefer 1953): each step keeps one of the two inner points.
    inner = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)]
    losses = [loss(value) for value in inner]
    for _ in range(NARROWINGS):
        if losses[0] <= losses[1]:
            high, inner[1], losses[1] = inner[1], inner[0], losses[0]
            inner[0] = high - GOLDEN * (high - low)
            losses[0] = loss(inner[0])
        else:
            low, inner[0], losses[0] = inner[0], inner[1], losses[1]
            inner[1] = low + GOLDEN * (high - low)
            losses[1] = loss(inner[1])
    return float(np.exp((low + high) / 2))


def reliability(confidence: Floats, right: NDArray[Any], bins: int = BINS) -> tuple[Bin, ...]:
    """Answers by confidence (0 to 1): bin k of B holds those in (k/B, (k+1)/B], the first one 0 as well (Guo et al.
    2017, section 2)."""
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    some = np.maximum(count, 1)
    means = np.bincount(place, confidence, bins) / some, np.bincount(place, right.astype(float), bins) / some
    return tuple(Bin(*values) for values in zip(count.tolist(), means[0].tolist(), means[1].tolist(), strict=True))


def expected_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error, 0 to 1: the gap of accuracy and confidence, averaged over answers (Guo et al. 2017,
    equation 5; Naeini et al. 2015)."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / total if total else 0.0


def coverage(confidence: Floats, exact: Floats, f1: Floats) -> tuple[Coverage, ...]:
    """What answering only from some confidence on does, at 0, 0.01 … 1 as far as there are answers; `exact` and `f1`
    are 0 to 1, float64[N] like `confidence` (risk and coverage: El-Yaniv and Wiener 2010)."""
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    sums = [np.cumsum(scores[order]) for scores in (exact, f1)]
    points = []
    for step in range(101):
        n = int(np.searchsorted(-falling, -step / 100, side="right"))
        if n:
            points.append(
                Coverage(
                    step / 100, n / len(confidence), 100 * float(sums[0][n - 1]) / n, 100 * float(sums[1][n - 1]) / n
                )
            )
    return tuple(points)
