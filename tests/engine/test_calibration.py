"""Temperature, calibration error and coverage: worked by hand, and on sets whose truth is known."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.examples import Answer, Example
from engine.insight.calibration import (
    Bin,
    Calibration,
    calibrate,
    coverage,
    expected_error,
    fit_temperature,
    fitting_half,
    reliability,
)
from engine.insight.scoring import prepared
from tests.engine.test_spans_decode import Logits, features_of


def test_bins_and_calibration_error_by_hand() -> None:
    confidence = np.array([0.0, 0.2, 0.21, 0.9, 1.0, 1.0])
    right = np.array([0, 1, 0, 1, 1, 0])
    bins = reliability(confidence, right, bins=5)  # (0, 0.2], (0.2, 0.4], … and 0 itself in the first
    assert [one.count for one in bins] == [2, 1, 0, 0, 3]
    assert msgspec.structs.astuple(bins[0]) == pytest.approx((2, 0.1, 0.5))
    assert msgspec.structs.astuple(bins[4]) == pytest.approx((3, 2.9 / 3, 2 / 3))
    assert bins[2] == Bin(0, 0.0, 0.0)
    by_hand = (2 * abs(0.5 - 0.1) + 1 * 0.21 + 3 * (2.9 / 3 - 2 / 3)) / 6
    assert expected_error(bins) == pytest.approx(by_hand)
    assert expected_error(reliability(np.zeros(0), np.zeros(0))) == 0.0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60), st.integers(1, 20))
def test_bins_hold_every_answer_once(answers: list[tuple[float, bool]], bins: int) -> None:
    confidence, right = np.array([c for c, _ in answers]), np.array([r for _, r in answers])
    found = reliability(confidence, right, bins)
    assert sum(one.count for one in found) == len(answers)
    assert sum(one.count * one.accuracy for one in found) == pytest.approx(sum(right))
    for number, one in enumerate(found):
        if one.count:
            assert number / bins - 1e-9 <= one.confidence <= (number + 1) / bins + 1e-9
    assert 0 <= expected_error(found) <= 1


def test_coverage_by_hand() -> None:
    confidence = np.array([0.9, 0.5, 0.5, 0.1])
    points = coverage(confidence, np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.5, 0.0]))
    by_confidence = {round(point.confidence, 2): point for point in points}
    assert by_confidence[0.0].share == 1.0
    assert by_confidence[0.0].exact_match == 50.0
    assert by_confidence[0.5].share == 0.75  # at least 0.5
    assert by_confidence[0.5].f1 == pytest.approx(250 / 3)
    assert by_confidence[0.51].share == 0.25
    assert by_confidence[0.51].exact_match == 100.0
    assert max(by_confidence) == 0.9


def test_the_temperature_that_made_the_scores_is_found() -> None:
    """Answers are right with probability sigmoid(score), but the scores are reported three times too large."""
    rng = np.random.default_rng(0)
    score = rng.normal(0.5, 1.5, 20_000)
    right = rng.random(20_000) < 1 / (1 + np.exp(-score))
    found = fit_temperature(lambda temperature: 1 / (1 + np.exp(-3 * score / temperature)), right)
    assert found == pytest.approx(3.0, rel=0.05)


def test_few_answers_give_a_moderate_temperature() -> None:
    """Ten right ones alone would ask for certainty: the prior holds that back."""
    certain = np.full(10, 0.7)
    found = fit_temperature(lambda temperature: certain ** (temperature), np.ones(10, np.bool_))
    assert 0.2 < found < 1.0
    assert fit_temperature(lambda temperature: np.zeros(0), np.zeros(0, np.bool_)) == 1.0


def test_the_halves_share_no_passage_and_do_not_depend_on_the_order() -> None:
    contexts = [f"passage {number % 7}" for number in range(40)]
    fit, by_passage = fitting_half(contexts)
    assert by_passage
    assert not {c for c, f in zip(contexts, fit, strict=True) if f} & {
        c for c, f in zip(contexts, fit, strict=True) if not f
    }
    assert 10 < fit.sum() < 30
    backwards, _ = fitting_half(contexts[::-1])
    assert backwards[::-1].tolist() == fit.tolist()
    alone, by_passage = fitting_half(["one passage"] * 5)
    assert not by_passage
    assert alone.tolist() == [True, False, True, False, True]


def scored_questions(n: int, sharpness: float, *, unanswerable: float = 0.0) -> tuple[list[Example], Logits, Logits]:
    """Questions on passages of their own with three tokens "ab cd ef"; the gold answer is drawn by the softmax of the
    start scores, which are then reported `sharpness` times too large. End scores leave only spans of one token."""
    rng = np.random.default_rng(1)
    context = "ab cd ef"
    examples, start, end = [], [], []
    for number in range(n):
        logits = rng.normal(0, 1.5, 3)
        null = rng.normal(0, 1.5)
        shares = np.exp(np.append(logits, null if unanswerable else -np.inf))
        gold = int(rng.choice(4, p=shares / shares.sum()))
        answers = () if gold == 3 else (Answer(context[3 * gold : 3 * gold + 2], 3 * gold),)
        examples.append(Example(f"q{number}", "", "?", f"{context} {number}", answers))
        start += [sharpness * (null + unanswerable), 0, *(sharpness * logits), 0]  # [CLS] [SEP] ab cd ef [SEP]
        end += [0.0] * 6
    return examples, np.array(start, np.float32), np.array(end, np.float32)


def calibrated(n: int, sharpness: float, *, unanswerable: float = 0.0) -> Calibration:
    examples, start, end = scored_questions(n, sharpness, unanswerable=unanswerable)
    features = features_of([(number, 0, 3) for number in range(n)])
    golds = prepared(examples, allow_null=bool(unanswerable))
    return calibrate(
        examples, features, start, end, golds, step=7, max_answer_length=1, allow_null=bool(unanswerable)
    )  # fmt: skip


def test_a_model_that_is_too_sure_is_cooled() -> None:
    found = calibrated(3000, 3.0)
    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert found.error_before > 0.15
    assert found.error_after < 0.05
    assert found.step == 7
    assert found.fitted_on == found.held_out == 1500
    assert found.by_passage
    assert found.no_answer_threshold is None
    assert found.coverage[0].share == 1.0
    assert found.coverage[0].f1 == pytest.approx(found.f1)
    assert found.coverage[60].f1 > found.f1 + 10  # the surer half is better


def test_the_no_answer_threshold_undoes_a_shift_of_the_null_score() -> None:
    """The null answer is reported 2 too high: the threshold takes that back, and F1 rises on the other half."""
    found = calibrated(3000, 1.0, unanswerable=2.0)
    assert found.no_answer_threshold == pytest.approx(2.0, abs=0.5)
    assert found.f1 > found.f1_at_zero + 3
    assert found.error_after < 0.12


def test_one_question_alone_is_calibrated_without_a_held_out_half() -> None:
    found = calibrated(1, 1.0)
    assert (found.fitted_on, found.held_out, found.coverage) == (1, 0, ())
    assert found.error_after == 0.0
