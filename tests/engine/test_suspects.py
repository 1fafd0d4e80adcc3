"""The two lists of suspects: their order, their reasons, and what verdicts change."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from engine.insight.dynamics import NEEDED, Dynamics, dynamics, number_passages
from engine.insight.suspects import rank_logit, reason, reranked, robust_z, wrong_boundary, wrong_place
from engine.rundir.snapshot import COLUMNS

CONTEXT = "keep your feet dry and your head warm"
LABELS = ["epoch 1", "epoch 2", "epoch 3"]
NAN = math.nan


def journey(**columns: list[list[float]]) -> Dynamics:
    shape = np.shape(next(iter(columns.values())))
    stacked = {
        name: np.asarray(columns.get(name, np.full(shape, NAN if "margin" in name else 0)), np.dtype(COLUMNS[name]))
        for name in NEEDED
    }
    return dynamics(stacked, [1, 2, 3], LABELS)


def ten(**first: list[list[float]]) -> Dynamics:
    """The examples given, and others, up to ten, that are learned at once: their margins differ a little."""
    return journey(**columns_of_ten(**first))


def columns_of_ten(**first: list[list[float]]) -> dict[str, list[list[float]]]:
    given = len(next(iter(first.values()))[0])
    usual = {
        "gold_log_prob": -0.2, "far_margin": 5.0, "near_margin": 3.0, "null_margin": NAN, "exact_match": 1.0,
        "iou": 1.0, "expected_iou": 0.9, "pred_char_start": 0, "pred_char_end": 4,
    }  # fmt: skip
    columns = {}
    for name, value in usual.items():
        rest = [value + (0.1 * number if "margin" in name else 0.0) for number in range(10 - given)]
        columns[name] = [[*first.get(name, [[value] * given] * 3)[row], *rest] for row in range(3)]
    return columns


def test_the_two_lists_find_different_errors() -> None:
    # 0 is labelled elsewhere, 1 has a wrong boundary.
    of = ten(
        gold_log_prob=[[-4, -2], [-4, -2], [-3, -2]],
        far_margin=[[-3, 4], [-3, 4], [-2, 4]],
        near_margin=[[3, -1], [3, -1], [3, -1]],
        iou=[[0, 0.5]] * 3,
        expected_iou=[[0.1, 0.5]] * 3,
        exact_match=[[0, 0]] * 3,
        pred_char_start=[[5, 5], [10, 5], [10, 5]],
        pred_char_end=[[9, 14], [18, 14], [18, 14]],
    )
    place, boundary = wrong_place(of), wrong_boundary(of)
    assert len(place) == len(boundary) == 10
    assert place[0].example == 0
    assert place[0].kind == "place"
    assert boundary[0].example == 1
    assert boundary[0].kind == "boundary"
    assert [entry.score for entry in place] == sorted((entry.score for entry in place), reverse=True)
    first = place[0]
    assert first.answer == (10, 18)
    assert (first.since, first.until) == (2, 3)
    assert first.probability == pytest.approx(math.exp(-3 + 2))
    assert first.confidence == pytest.approx((2 * math.exp(-4) + math.exp(-3)) / 3)
    assert boundary[0].answer == (5, 14)
    assert boundary[0].since == 1
    assert reason(first, of, CONTEXT, "head") == "answers “feet dry” with 0.37 since epoch 2; the label says “head”"


def test_an_answer_given_up_for_the_label() -> None:
    of = ten(
        gold_log_prob=[[-4], [-4], [-0.1]],
        far_margin=[[-3], [-3.5], [2]],
        expected_iou=[[0.1], [0.1], [0.9]],
        pred_char_start=[[5], [5], [0]],
        pred_char_end=[[9], [9], [4]],
    )
    entry = wrong_place(of)[0]
    assert entry.answer == (5, 9)
    assert (entry.since, entry.until) == (1, 2)
    assert reason(entry, of, CONTEXT, "keep") == (
        "answered “your” with 0.61 from epoch 1 to epoch 2; the label says “keep”"
    )


def test_no_answer_and_no_other_answer() -> None:
    of = ten(
        gold_log_prob=[[-4, -3]] * 3,
        far_margin=[[3, 1]] * 3,
        null_margin=[[-2, 1]] * 3,
        expected_iou=[[0.1, 0.2]] * 3,
        pred_char_start=[[-1, 0]] * 3,
        pred_char_end=[[-1, 4]] * 3,
    )
    no_answer, low = wrong_place(of)[:2]
    assert no_answer.answer == (-1, -1)
    assert reason(no_answer, of, CONTEXT, "keep").startswith("answers “no answer” with 0.14 since epoch 1;")
    assert low.answer is None
    assert math.isnan(low.probability)
    assert (
        reason(low, of, CONTEXT, None) == "gives the label a probability of 0.05 on average; the label says no answer"
    )


def test_an_answer_of_the_other_kind_is_better_than_none() -> None:
    of = ten(
        gold_log_prob=[[-9]] * 3,
        far_margin=[[1]] * 3,
        expected_iou=[[0.1]] * 3,
        near_margin=[[-2]] * 3,
        pred_char_start=[[0], [0], [0]],
        pred_char_end=[[9], [9], [9]],
    )
    entry = wrong_place(of)[0]
    assert entry.answer == (0, 9)
    assert reason(entry, of, CONTEXT, "your") == (
        "answers “keep your” with less than 0.01 since epoch 1; the label says “your”"
    )


def test_what_has_no_score_is_in_no_list() -> None:
    of = ten(gold_log_prob=[[NAN]] * 3, far_margin=[[NAN]] * 3, near_margin=[[NAN]] * 3)
    assert 0 not in [entry.example for entry in [*wrong_place(of), *wrong_boundary(of)]]


def test_reviewed_examples_leave_the_list() -> None:
    of = ten(far_margin=[[-3, -2]] * 3, expected_iou=[[0.1, 0.2]] * 3)
    assert [entry.example for entry in wrong_place(of)][:2] == [0, 1]
    assert 0 not in [entry.example for entry in wrong_place(of, {0: True})]


def test_robust_scores_by_hand() -> None:
    # Median 3, absolute deviations 2, 1, 0, 1, 97: their median is 1.
    assert robust_z(np.array([1.0, 2, 3, 4, 100, NAN])).tolist() == pytest.approx(
        [-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 97 / 1.4826, NAN], nan_ok=True
    )
    assert robust_z(np.array([3.0, 3, 3])).tolist() == [0, 0, 0]


def test_logits_of_ranks_by_hand() -> None:
    # Ranks: the middles of quarters, the two equal ones share theirs.
    found = rank_logit(np.array([5.0, 1, 5, 9, NAN]))
    quarters = [0.5, 0.125, 0.5, 0.875]
    assert found[:4].tolist() == pytest.approx([math.log(r / (1 - r)) for r in quarters], abs=1e-12)
    assert math.isnan(found[4])


def test_a_verdict_says_something_of_the_other_labels_of_the_passage() -> None:
    scores, passages = np.array([3.0, 2.0, 1.0, 1.0, 1.0, 1.0]), np.array([0, 1, 0, 1, 2, 0], np.int32)
    after = reranked(scores, passages, {0: True, 1: False})
    # One error in passage 0: 21 of 101 in place of 20 of 100; a label kept in passage 1: 20 of 101.
    assert after[4] == 1
    assert after[[2, 5]].tolist() == pytest.approx([1 + math.log(21 / 80) - math.log(20 / 80)] * 2)
    assert after[3] == pytest.approx(1 + math.log(20 / 81) - math.log(20 / 80))
    np.testing.assert_array_equal(reranked(scores, passages, {}), scores)
    np.testing.assert_array_equal(reranked(scores, None, {0: True}), scores)


def test_the_list_learns_from_verdicts() -> None:
    usual = columns_of_ten(far_margin=[[0.0]] * 3)
    equal = journey(**{name: [[row[1]] * 6 for row in rows] for name, rows in usual.items()})
    of = replace(equal, passages=number_passages(["a", "b", "c", "a", "b", "c"]))
    assert [entry.example for entry in wrong_place(of)] == [0, 1, 2, 3, 4, 5]
    assert [entry.example for entry in wrong_place(of, {2: True, 1: False})] == [5, 0, 3, 4]
