"""The probability of an answer: by hand on one window, by brute force on small sets of windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.data.features import Features
from engine.data.segments import CONTEXT
from engine.insight.probability import SpanSums, probability, sum_ahead, with_probabilities
from engine.insight.spans import AnswerRules, decode, n_best
from tests.engine.test_spans_decode import Logits, features_of, scored_sets, spans_by_force, windows_of


def test_one_window_by_hand() -> None:
    """Two tokens of the passage: spans with weights 2·1, 2·3, 1·3, and the null answer with 4."""
    features = features_of([(0, 1, 2)])  # [CLS] question [SEP] a b [SEP]
    start = np.log(np.array([4, 9, 9, 2, 1, 9], np.float32))
    end = np.log(np.array([1, 9, 9, 1, 3, 9], np.float32))
    with_null = SpanSums.of(features, start, end, 1, AnswerRules(30, allow_null=True))
    assert np.exp(with_null.log_total()) == pytest.approx([15])
    assert np.exp(with_null.log_total(2.0)) == pytest.approx([np.sqrt([2, 6, 3, 4]).sum()])
    assert probability(np.log(6), with_null.log_total()) == pytest.approx([6 / 15])
    halved = probability(np.log(6), with_null.log_total(2.0), temperature=2.0)
    assert halved == pytest.approx([np.sqrt(6) / np.sqrt([2, 6, 3, 4]).sum()])
    assert np.exp(SpanSums.of(features, start, end, 1, AnswerRules(30)).log_total()) == pytest.approx([11])
    assert np.exp(SpanSums.of(features, start, end, 1, AnswerRules(1)).log_total()) == pytest.approx([5])
    lowered = SpanSums.of(
        features, start, end, 1, AnswerRules(30, allow_null=True, null_threshold=np.log(2))
    ).log_total()
    assert np.exp(lowered) == pytest.approx([11 + 4 / 2])


def test_a_span_of_two_windows_is_one_candidate_with_its_highest_score() -> None:
    features = features_of([(0, 0, 2), (0, 0, 2)])  # the second token of the first window is the first of the second
    start = np.log(np.array([1, 1, 1, 5, 1, 1, 1, 7, 2, 1], np.float32))
    sums = SpanSums.of(features, start, np.zeros(10, np.float32), 1, AnswerRules(1))
    assert np.exp(sums.log_total()) == pytest.approx([1 + 7 + 2])


@settings(max_examples=200, deadline=None)
@given(scored_sets(), st.integers(1, 9), st.booleans(), st.sampled_from([0.25, 1.0, 3.0]))
def test_totals_are_those_of_brute_force(
    scored: tuple[Features, Logits, Logits, int], longest: int, allow_null: bool, temperature: float
) -> None:
    features, start, end, n_examples = scored
    assume(all((part == CONTEXT).any() for part in np.split(features.segment, features.token_offset[1:-1])))
    sums = SpanSums.of(features, start, end, n_examples, AnswerRules(longest, allow_null=allow_null))
    totals = sums.log_total(temperature)
    for example in range(n_examples):
        windows = windows_of(features, start, end, example)
        highest: dict[tuple[int, int], float] = {}
        for score, feature, i, j in spans_by_force(windows, longest):
            at = features.token_offset[feature]
            chars = (int(features.char_start[at + i]), int(features.char_end[at + j]))
            highest[chars] = max(highest.get(chars, -np.inf), score)
        if allow_null and windows:
            highest[-1, -1] = min(float(w.start_logits[0] + w.end_logits[0]) for w in windows)
        weights = np.exp(np.array(list(highest.values())) / temperature)
        with np.errstate(divide="ignore"):
            assert totals[example] == pytest.approx(np.log(weights.sum()))


def test_the_best_span_of_scores_far_apart_is_certain() -> None:
    """The best start and the best end lie in different windows, thousands above every span."""
    features = features_of([(0, 0, 1), (0, 0, 1)])
    start = np.array([0, 0, 5000, 0, 0, 0, 0, 0], np.float32)
    end = np.array([0, 0, 0, 0, 0, 0, 9000, 0], np.float32)
    best = decode(features, start, end, 1, AnswerRules(3))
    sums = SpanSums.of(features, start, end, 1, AnswerRules(3))
    assert probability(best.score, sums.log_total(0.1), temperature=0.1) == pytest.approx([1.0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_of_a_model_that_diverged_give_probabilities(value: float) -> None:
    features = features_of([(0, 1, 3), (0, 1, 3)])
    scores = np.full(16, value, np.float32)
    best = decode(features, scores, scores, 1, AnswerRules(3))
    sums = SpanSums.of(features, scores, scores, 1, AnswerRules(3, allow_null=True))
    assert 0 <= probability(best.score, sums.log_total())[0] <= 1


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 40))
def test_sums_ahead(values: list[int], width: int) -> None:
    width = min(width, max(1, len(values)))
    expected = [sum(values[i : i + width]) for i in range(len(values))]
    assert sum_ahead(np.array(values, float), width).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(scored_sets(), st.integers(1, 9), st.booleans())
def test_candidates_of_one_example_are_as_probable_as_among_all_examples(
    scored: tuple[Features, Logits, Logits, int], longest: int, allow_null: bool
) -> None:
    features, start, end, n_examples = scored
    assume(all((part == CONTEXT).any() for part in np.split(features.segment, features.token_offset[1:-1])))
    totals = SpanSums.of(features, start, end, n_examples, AnswerRules(longest, allow_null=allow_null)).log_total()
    for example in range(n_examples):
        windows = windows_of(features, start, end, example)
        found = n_best(windows, AnswerRules(longest, allow_null=allow_null), k=1000)
        listed = with_probabilities(found, windows, AnswerRules(longest, allow_null=allow_null))
        chances = [one.probability for one in listed]
        assert chances == pytest.approx(probability(np.array([one.score for one in found]), totals[example]).tolist())
        assert sum(chances) == pytest.approx(1.0 if found else 0.0)
