"""The gold answer's probability and margins: cases worked by hand, and every span enumerated on small sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.data.examples import Answer, Example
from engine.data.features import Features
from engine.data.segments import CONTEXT, QUESTION, SPECIAL
from engine.insight import margins
from engine.insight.margins import gold_spans, margin_columns
from engine.insight.spans import AnswerRules, decode

WORD = 3  # characters of a made-up word and the space behind it: word k is at 3k to 3k + 2
Logits = NDArray[np.float32]


def example(number: int, words: int, *golds: tuple[int, int]) -> Example:
    """A passage of `words` words; golds are ranges of words (last one included), none: unanswerable."""
    text = " ".join(["ab"] * words)
    answers = tuple(Answer(text[WORD * i : WORD * j + 2], WORD * i) for i, j in golds)
    return Example(f"q{number}", "t", "q?", text, answers, is_impossible=not golds)


def windows_of(windows: list[tuple[int, int, int]]) -> Features:
    """Windows given as (example, first word, end word): [CLS] question [SEP] words [SEP]."""
    segment, char_start, char_end, offset = [], [], [], [0]
    for _, low, high in windows:
        places = [WORD * word for word in range(low, high)]
        segment += [SPECIAL, QUESTION, SPECIAL, *[CONTEXT] * (high - low), SPECIAL]
        char_start += [0, 0, 0, *places, 0]
        char_end += [0, 2, 0, *[place + 2 for place in places], 0]
        offset.append(len(segment))
    none = np.full(len(windows), -1, np.int32)
    return Features(
        feature_example=np.array([number for number, _, _ in windows], np.int32),
        token_offset=np.array(offset, np.int64),
        input_ids=np.zeros(len(segment), np.int32),
        type_ids=np.zeros(len(segment), np.int8),
        char_start=np.array(char_start, np.int16),
        char_end=np.array(char_end, np.int16),
        segment=np.array(segment, np.int8),
        null_token=np.zeros(len(windows), np.int32),
        gold_start=none,
        gold_end=none,
    )


def columns_of(
    examples: list[Example], windows: Features, start: Logits, end: Logits, longest: int, *, allow_null: bool = False
) -> dict[str, list[float]]:
    gold = gold_spans(examples, windows)
    columns = margin_columns(windows, gold, start, end, max_answer_length=longest, allow_null=allow_null)
    assert all(column.dtype == np.float32 for column in columns.values())
    return {name: column.tolist() for name, column in columns.items()}


def test_by_hand() -> None:
    # Three words and the answer "word 1"; starts 0, 2, 1 and ends 1, 0, 3; at most two words.
    windows = windows_of([(0, 0, 3)])
    start = np.array([9, 9, 9, 0, 2, 1, 9], np.float32)
    end = np.array([9, 9, 9, 1, 0, 3, 9], np.float32)
    # Spans: 00 = 1, 01 = 0, 11 = 2 (gold), 12 = 5, 22 = 4.
    columns = columns_of([example(0, 3, (1, 1))], windows, start, end, 2)
    total = math.log(sum(math.exp(score) for score in (1, 0, 2, 5, 4)))
    assert columns["gold_log_prob"] == [pytest.approx(2 - total, abs=1e-5)]
    assert columns["far_margin"] == [-2.0]  # 22
    # Words are two characters and a space: "word 1" and "words 0, 1" or "words 1, 2" share 2 of 5.
    shares = [0, 2 / 5, 1, 2 / 5, 0]
    expected = sum(math.exp(score - total) * share for score, share in zip((1, 0, 2, 5, 4), shares, strict=True))
    assert columns["expected_iou"] == [pytest.approx(expected, abs=1e-6)]
    assert columns["near_margin"] == [-3.0]  # 12
    assert np.isnan(columns["null_margin"]).all()


def test_several_golds_are_all_gold() -> None:
    windows = windows_of([(0, 0, 3)])
    start = np.array([0, 0, 0, 0, 2, 1, 0], np.float32)
    end = np.array([0, 0, 0, 1, 0, 3, 0], np.float32)
    columns = columns_of([example(0, 3, (1, 1), (1, 2), (1, 1))], windows, start, end, 2)
    total = math.log(sum(math.exp(score) for score in (1, 0, 2, 5, 4)))
    assert columns["gold_log_prob"] == [pytest.approx(math.log(math.exp(2) + math.exp(5)) - total, abs=1e-5)]
    assert columns["far_margin"] == [5 - 1.0]  # against 00: 22 touches the second gold
    assert columns["near_margin"] == [5 - 4.0]  # against 22


def test_the_null_answer() -> None:
    examples = [example(0, 2, (0, 0)), example(1, 2)]
    windows = windows_of([(0, 0, 2), (1, 0, 2)])
    start = np.array([1, 0, 0, 3, 2, 0] * 2, np.float32)
    end = np.array([4, 0, 0, 1, 0, 0] * 2, np.float32)
    # Spans: 00 = 4, 01 = 3, 11 = 2; the null answer 5.
    columns = columns_of(examples, windows, start, end, 2, allow_null=True)
    total = math.log(sum(math.exp(score) for score in (4, 3, 2, 5)))
    assert columns["gold_log_prob"] == [pytest.approx(4 - total, abs=1e-5), pytest.approx(5 - total, abs=1e-5)]
    assert columns["far_margin"] == [2.0, 1.0]
    assert columns["near_margin"][0] == 1.0
    assert np.isnan(columns["near_margin"][1])
    assert columns["null_margin"][0] == -1.0
    assert np.isnan(columns["null_margin"][1])


def test_an_answer_longer_than_a_prediction_may_be_still_has_a_probability() -> None:
    windows = windows_of([(0, 0, 3)])
    zeros = np.zeros(7, np.float32)
    columns = columns_of([example(0, 3, (0, 2))], windows, zeros, zeros, 2)
    assert columns["gold_log_prob"] == [pytest.approx(math.log(1 / 6), abs=1e-5)]  # five allowed spans, and this one


def test_no_window_holds_the_answer_whole() -> None:
    windows = windows_of([(0, 0, 2), (0, 2, 4)])
    zeros = np.zeros(12, np.float32)
    columns = columns_of([example(0, 4, (1, 2))], windows, zeros, zeros, 4)
    assert all(np.isnan(values).all() for values in columns.values())


def test_scores_that_are_no_numbers() -> None:
    windows = windows_of([(0, 0, 3)])
    nothing = np.full(7, np.nan, np.float32)
    columns = columns_of([example(0, 3, (1, 1))], windows, nothing, nothing, 2, allow_null=True)
    assert all(np.isnan(values).all() for values in columns.values())


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Example], list[tuple[int, int, int]], int, bool, int]:
    allow_null = draw(st.booleans())
    examples, windows = [], []
    for number in range(draw(st.integers(1, 3))):
        words = draw(st.integers(1, 9))
        span = st.tuples(st.integers(0, words - 1), st.integers(0, 3)).map(
            lambda p, words=words: (p[0], min(p[0] + p[1], words - 1))  # type: ignore[misc]
        )
        golds = draw(st.lists(span, min_size=0 if allow_null else 1, max_size=3))
        examples.append(example(number, words, *golds))
        room = draw(st.integers(min(3, words), words))
        step = max(1, room - draw(st.integers(0, 2)))
        first = 0
        while True:
            windows.append((number, first, min(first + room, words)))
            if first + room >= words:
                break
            first += step
    return examples, windows, draw(st.integers(1, 5)), allow_null, draw(st.integers(0, 2**20))


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from([1, 7, 1 << 20]))
def test_every_span_enumerated(
    case: tuple[list[Example], list[tuple[int, int, int]], int, bool, int], cells: int
) -> None:
    examples, places, longest, allow_null, seed = case
    windows = windows_of(places)
    random = np.random.default_rng(seed)
    start, end = (random.integers(-4, 5, len(windows.segment)).astype(np.float32) for _ in range(2))
    normal, margins.CELLS = margins.CELLS, cells
    try:
        columns = columns_of(examples, windows, start, end, longest, allow_null=allow_null)
    finally:
        margins.CELLS = normal
    best = decode(windows, start, end, len(examples), AnswerRules(longest))
    for number, of in enumerate(examples):
        golds = {(answer.start, answer.start + len(answer.text)) for answer in of.answers}
        spans, null = [], []  # (score, first character, end character)
        for window, (owner, low, high) in enumerate(places):
            if owner != number:
                continue
            base = int(windows.token_offset[window])
            null.append(float(start[base] + end[base]))
            for i in range(low, high):
                for j in range(i, high):
                    chars = WORD * i, WORD * j + 2
                    if j - i < longest or chars in golds:
                        a, b = base + 3 + i - low, base + 3 + j - low
                        spans.append((float(start[a] + end[b]), *chars))
        in_windows = spans
        # A stretch of the passage that several windows hold counts once, with its highest score.
        spans = [(score, *chars) for chars, score in {(a, b): score for score, a, b in sorted(spans)}.items()]
        ours = [score for score, a, b in spans if (a, b) in golds]
        allowed = [(score, a, b) for score, a, b in spans if b - a < WORD * longest and (a, b) not in golds]
        far = [score for score, a, b in allowed if all(b <= x or y <= a for x, y in golds)]
        near = [score for score, a, b in allowed if any(a < y and x < b for x, y in golds)]
        if of.is_impossible:
            ours = [min(null)]
        rivals = [score for score, a, b in spans if (a, b) not in golds] + ([min(null)] if allow_null else [])
        if of.is_impossible:
            rivals = rivals[:-1]
        expected = dict.fromkeys(columns, math.nan)
        if ours:
            all_scores = np.array(ours + rivals)
            expected["gold_log_prob"] = float(np.log(np.exp(ours).sum()) - np.log(np.exp(all_scores).sum()))
            expected["far_margin"] = max(ours) - max(far) if far else math.nan
            expected["near_margin"] = max(ours) - max(near) if near else math.nan
            if allow_null and not of.is_impossible:
                expected["null_margin"] = max(ours) - min(null)
            each = [
                (score, max([max(0, min(b, y) - max(a, x)) / (max(b, y) - min(a, x)) for x, y in golds], default=0.0))
                for score, a, b in in_windows
                if b - a < WORD * longest
            ]
            each += [(min(null), float(of.is_impossible))] if allow_null else []
            weights = np.exp([score for score, _ in each])
            expected["expected_iou"] = float(weights @ [share for _, share in each] / weights.sum())
            if of.is_impossible:
                expected["expected_iou"] = float(np.exp(expected["gold_log_prob"]))
        for name, value in expected.items():
            assert columns[name][number] == pytest.approx(value, abs=1e-4, nan_ok=True), name
        assert float(best.score[number]) == max(score for score, a, b in spans if b - a < WORD * longest)
