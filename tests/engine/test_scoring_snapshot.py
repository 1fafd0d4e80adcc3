"""A snapshot's columns and metrics, worked out by hand on a small set and by force on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.data.examples import Answer, Example
from engine.data.features import Features
from engine.data.segments import CONTEXT, QUESTION, SPECIAL
from engine.insight.margins import MARGINS
from engine.insight.metrics import evaluate_v2
from engine.insight.scoring import prepared, score_snapshot
from engine.insight.spans import AnswerRules, decode
from engine.learning.snapshots import no_answer_warning
from engine.rundir.snapshot import COLUMNS

CONTEXT_TEXT = "keep your feet dry and your head warm"
WORDS = CONTEXT_TEXT.split()
STARTS = [CONTEXT_TEXT.index(f" {word}") + 1 if number else 0 for number, word in enumerate(WORDS)]
STARTS[5] = CONTEXT_TEXT.rindex("your")
ENDS = [start + len(word) for start, word in zip(STARTS, WORDS, strict=True)]


def example(number: int, *words: tuple[int, int]) -> Example:
    """A question whose golds are the given word ranges; none: unanswerable."""
    answers = tuple(Answer(CONTEXT_TEXT[STARTS[i] : ENDS[j]], STARTS[i]) for i, j in words)
    return Example(f"q{number}", "Colds", "What now?", CONTEXT_TEXT, answers, is_impossible=not answers)


def features_of(examples: list[Example], windows: list[tuple[int, int, int]]) -> Features:
    """Windows given as (example, first word, end word): [CLS] what now [SEP] words [SEP]."""
    segment, char_start, char_end, offset, gold = [], [], [], [0], []
    for number, low, high in windows:
        segment += [SPECIAL, QUESTION, QUESTION, SPECIAL, *[CONTEXT] * (high - low), SPECIAL]
        char_start += [0, 0, 5, 0, *STARTS[low:high], 0]
        char_end += [0, 4, 8, 0, *ENDS[low:high], 0]
        offset.append(len(segment))
        answers = examples[number].answers
        first = STARTS.index(answers[0].start) if answers else -1
        last = ENDS.index(answers[0].start + len(answers[0].text)) if answers else -1
        gold.append((4 + first - low, 4 + last - low) if answers and low <= first and last < high else (-1, -1))
    count = len(windows)
    return Features(
        feature_example=np.array([number for number, _, _ in windows], np.int32),
        token_offset=np.array(offset, np.int64),
        input_ids=np.zeros(len(segment), np.int32),
        type_ids=np.zeros(len(segment), np.int8),
        char_start=np.array(char_start, np.int16),
        char_end=np.array(char_end, np.int16),
        segment=np.array(segment, np.int8),
        null_token=np.zeros(count, np.int32),
        gold_start=np.array([start for start, _ in gold], np.int32),
        gold_end=np.array([end for _, end in gold], np.int32),
    )


def flat(features: Features, scores: dict[tuple[int, int], float]) -> NDArray[np.float32]:
    """Scores of 0 but for the given (window, token)."""
    logits = np.zeros(int(features.token_offset[-1]), np.float32)
    for (window, token), score in scores.items():
        logits[features.token_offset[window] + token] = score
    return logits


def test_by_hand() -> None:
    examples = [
        example(0, (2, 3), (3, 3)),  # "feet dry", or "dry"
        example(1, (1, 1)),  # the first of two "your"
        example(2, (6, 7)),  # "head warm"
    ]
    features = features_of(examples, [(0, 0, 8), (1, 0, 8), (2, 0, 5), (2, 4, 8)])
    start = flat(features, {(0, 4 + 3): 3.0, (1, 4 + 5): 2.0, (3, 4 + 2): 1.0, (0, 1): 9.0})
    end = flat(features, {(0, 4 + 3): 3.0, (1, 4 + 5): 2.0, (3, 4 + 3): 4.0, (0, 0): 9.0})
    columns, metrics, seen, unseen = score_snapshot(
        examples, features, start, end, max_answer_length=3, allow_null=False
    )
    assert set(columns) | set(MARGINS) == set(COLUMNS)
    assert all(len(column) == 3 for column in columns.values())
    assert columns["pred_feature"].tolist() == [0, 1, 3]
    assert columns["pred_start"].tolist() == [7, 9, 6]
    assert columns["pred_end"].tolist() == [7, 9, 7]
    assert columns["pred_char_start"].tolist() == [STARTS[3], STARTS[5], STARTS[6]]
    assert columns["pred_char_end"].tolist() == [ENDS[3], ENDS[5], ENDS[7]]
    assert columns["score"].tolist() == [6.0, 4.0, 5.0]
    assert columns["null_score"].tolist() == [9.0, 0.0, 0.0]
    # "dry" is right by the second gold, but only its end is the first gold's; the wrong "your" has the right text.
    assert columns["start_correct"].tolist() == [False, False, True]
    assert columns["end_correct"].tolist() == [True, False, True]
    assert columns["exact_match"].tolist() == [1.0, 1.0, 1.0]
    assert columns["f1"].tolist() == [1.0, 1.0, 1.0]
    assert columns["iou"].tolist() == pytest.approx([3 / 8, 0.0, 1.0])
    gold_start = [1 / (7 + np.exp(3)), 1 / (7 + np.exp(2)), np.e / (3 + np.e)]
    gold_end = [np.exp(3) / (7 + np.exp(3)), 1 / (7 + np.exp(2)), np.exp(4) / (3 + np.exp(4))]
    assert columns["gold_start_prob"].tolist() == pytest.approx(gold_start)
    assert columns["gold_end_prob"].tolist() == pytest.approx(gold_end)
    assert (metrics.examples, metrics.exact_match, metrics.f1) == (3, 100.0, 100.0)
    assert (metrics.start_accuracy, metrics.end_accuracy) == pytest.approx((1 / 3, 2 / 3))
    assert metrics.loss == pytest.approx(-np.mean(np.log([gold_start, gold_end])))
    assert seen is None
    assert unseen is None


def test_windows_agree_on_a_token_of_the_passage() -> None:
    """The gold answer stands in two windows; predicting it in the second is as right as in the first."""
    examples = [example(0, (4, 4))]
    features = features_of(examples, [(0, 0, 5), (0, 4, 8)])
    scores = flat(features, {(1, 4): 5.0})
    columns, _, _, _ = score_snapshot(examples, features, scores, scores, max_answer_length=3, allow_null=False)
    assert columns["pred_feature"].tolist() == [1]
    assert columns["start_correct"].tolist() == columns["end_correct"].tolist() == [True]
    assert columns["gold_start_prob"].tolist() == pytest.approx([1 / 5])  # of the first window that holds it


def test_no_answer() -> None:
    examples = [example(0), example(1), example(2, (2, 3)), example(3, (2, 3))]
    features = features_of(examples, [(0, 0, 4), (0, 3, 8), (1, 0, 8), (2, 0, 8), (3, 0, 8)])
    scores = flat(features, {(0, 0): 3.0, (1, 0): 2.0, (2, 6): 1.0, (3, 0): 2.0, (4, 6): 2.0, (4, 7): 1.0})
    columns, metrics, _, _ = score_snapshot(examples, features, scores, scores, max_answer_length=3, allow_null=True)
    assert columns["pred_feature"].tolist() == [-1, 2, -1, 4]
    assert columns["pred_start"].tolist() == [-1, 6, -1, 6]
    assert columns["pred_char_end"].tolist() == [-1, ENDS[2], -1, ENDS[2]]
    assert columns["null_score"].tolist() == [4.0, 0.0, 4.0, 0.0]  # the smallest of the windows
    assert columns["start_correct"].tolist() == [True, False, False, True]
    assert columns["end_correct"].tolist() == [True, False, False, False]
    assert columns["exact_match"].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert columns["f1"].tolist() == pytest.approx([1.0, 0.0, 0.0, 2 / 3])
    assert columns["iou"].tolist() == pytest.approx([1.0, 0.0, 0.0, 4 / 8])
    null_share = np.exp(3) / (4 + np.exp(3))  # among the context's tokens and the null token
    assert columns["gold_start_prob"].tolist() == pytest.approx(
        [null_share, 1 / (8 + np.e), 1 / (8 + np.exp(2)), np.exp(2) / (7 + np.exp(2) + np.exp(1))]
    )
    assert metrics.exact_match == 25.0


def test_a_gold_answer_in_no_window_leaves_the_loss_alone() -> None:
    examples = [example(0, (2, 6)), example(1, (0, 0))]
    features = features_of(examples, [(0, 0, 5), (0, 4, 8), (1, 0, 5)])
    scores = flat(features, {})
    columns, metrics, _, _ = score_snapshot(examples, features, scores, scores, max_answer_length=9, allow_null=False)
    assert columns["gold_start_prob"].tolist() == pytest.approx([0.0, 1 / 5])
    assert columns["start_correct"].tolist() == [False, True]
    assert metrics.loss == pytest.approx(np.log(5))
    lost = features_of(examples[:1], [(0, 0, 5), (0, 4, 8)])
    _, nothing_held, _, _ = score_snapshot(
        examples[:1], lost, flat(lost, {}), flat(lost, {}), max_answer_length=9, allow_null=False
    )
    assert nothing_held.loss is None


def test_seen_and_unseen_passages_are_scored_apart() -> None:
    examples = [example(0, (0, 0)), example(1, (0, 0)), example(2, (0, 0))]
    features = features_of(examples, [(0, 0, 8), (1, 0, 8), (2, 0, 8)])
    scores = flat(features, {(0, 4): 3.0, (1, 4): 3.0, (2, 8): 3.0})
    parts = [np.array(seen) for seen in ([True, True, False], [True, True, True], [False, False, False])]
    _, everything, seen, unseen = score_snapshot(
        examples, features, scores, scores, max_answer_length=3, allow_null=False, seen=parts[0]
    )
    assert seen is not None
    assert unseen is not None
    assert (everything.examples, seen.examples, unseen.examples) == (3, 2, 1)
    assert [m.exact_match for m in (everything, seen, unseen)] == pytest.approx([200 / 3, 100.0, 0.0])
    assert everything.loss == pytest.approx((2 * (seen.loss or 0) + (unseen.loss or 0)) / 3)
    for part in parts[1:]:
        _, _, seen, unseen = score_snapshot(
            examples, features, scores, scores, max_answer_length=3, allow_null=False, seen=part
        )
        assert seen is None
        assert unseen is None


def test_golds_may_be_prepared_once() -> None:
    examples = [example(0, (2, 3)), example(1)]
    features = features_of(examples, [(0, 0, 8), (1, 0, 8)])
    scores = flat(features, {(0, 6): 2.0, (1, 0): 2.0})
    golds = prepared(examples, allow_null=True)
    for prepared_golds in (None, golds):
        columns, metrics, _, _ = score_snapshot(
            examples, features, scores, scores, max_answer_length=3, allow_null=True, golds=prepared_golds
        )
        assert columns["f1"].tolist() == pytest.approx([2 / 3, 1.0])
        assert metrics.exact_match == 50.0


@pytest.mark.parametrize("allow_null", [False, True])
def test_probabilities_by_force(allow_null: bool) -> None:
    random = np.random.default_rng(5)
    examples = [example(n, (int(i), int(i) + n % 2)) for n, i in enumerate(random.integers(0, 6, 20))]
    if allow_null:
        examples += [example(n) for n in range(20, 25)]
    windows = [(n, low, low + 5) for n in range(len(examples)) for low in (0, 3)]
    features = features_of(examples, windows)
    logits = random.normal(0, 30, size=(2, int(features.token_offset[-1]))).astype(np.float32)
    columns, _, _, _ = score_snapshot(examples, features, *logits, max_answer_length=3, allow_null=allow_null)
    for number, each in enumerate(examples):
        for side, gold, name in zip(logits, (features.gold_start, features.gold_end), ("start", "end"), strict=True):
            expected = 0.0
            for window in (2 * number, 2 * number + 1):
                low = features.token_offset[window]
                if gold[window] >= 0 or each.is_impossible:
                    target = low + (0 if each.is_impossible else gold[window])
                    among = [*range(low + 4, low + 9), *([low] if allow_null else [])]
                    exact = side[among].astype(np.float64)
                    expected = float(1 / np.exp(exact - side[target]).sum())
                    break
            assert columns[f"gold_{name}_prob"][number] == pytest.approx(expected, rel=1e-4, abs=1e-30)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_scores_of_a_diverged_model_have_columns_too(strange: float) -> None:
    examples = [example(0, (2, 3)), example(1)]
    features = features_of(examples, [(0, 0, 8), (1, 0, 8)])
    scores = np.full(int(features.token_offset[-1]), strange, np.float32)
    columns, metrics, _, _ = score_snapshot(examples, features, scores, scores, max_answer_length=3, allow_null=True)
    assert set(columns) | set(MARGINS) == set(COLUMNS)
    assert 0 <= metrics.f1 <= 100


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_unanswerable_questions_are_scored_as_the_official_script_does(seed: int) -> None:
    """HasAns, NoAns and both best thresholds, against `evaluate_v2` on the best spans' texts and the null odds."""
    rng = np.random.default_rng(seed)
    examples = [example(n, (2, 3)) if rng.random() < 0.6 else example(n) for n in range(12)]
    features = features_of(examples, [(n, 0, 8) for n in range(12)])
    start, end = rng.normal(size=(2, int(features.token_offset[-1]))).astype(np.float32)
    columns, metrics, _, _ = score_snapshot(examples, features, start, end, max_answer_length=3, allow_null=True)
    spans = decode(features, start, end, 12, AnswerRules(3))
    odds = columns["null_score"].astype(np.float32) - columns["score"]
    texts = [e.context[a:b] for e, a, b in zip(examples, spans.char_start, spans.char_end, strict=True)]
    official = evaluate_v2(prepared(examples, allow_null=True), texts, odds.astype(np.float64), threshold=0.0)
    ours = {
        "exact": metrics.exact_match,
        "f1": metrics.f1,
        "HasAns_exact": metrics.has_answer_exact_match,
        "HasAns_f1": metrics.has_answer_f1,
        "NoAns_exact": metrics.no_answer_exact_match,
        "NoAns_f1": metrics.no_answer_f1,
        "best_exact": metrics.best_exact_match,
        "best_exact_thresh": metrics.best_exact_threshold,
        "best_f1": metrics.best_f1,
        "best_f1_thresh": metrics.best_f1_threshold,
    }
    if all(e.answers for e in examples):
        assert {name for name, value in ours.items() if value is not None} == {"exact", "f1"}
        return
    for name, value in ours.items():
        assert value == pytest.approx(official[name]) if name in official else value is None, name


def test_a_model_that_answers_nothing_is_named() -> None:
    examples = [example(0), example(1, (2, 3))]
    features = features_of(examples, [(0, 0, 8), (1, 0, 8)])
    scores = flat(features, {(0, 0): 3.0, (1, 0): 3.0})
    columns, metrics, _, _ = score_snapshot(examples, features, scores, scores, max_answer_length=3, allow_null=True)
    warning = no_answer_warning("epoch 1", metrics, columns["pred_char_start"])
    assert warning is not None
    assert 'predicts "no answer" for all 2 questions; EM 50.0 is the share' in warning.message
    better = flat(features, {(0, 0): 3.0, (1, 6): 3.0})
    columns, metrics, _, _ = score_snapshot(examples, features, better, better, max_answer_length=3, allow_null=True)
    assert no_answer_warning("epoch 1", metrics, columns["pred_char_start"]) is None
