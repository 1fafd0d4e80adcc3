"""The probability of an answer: every span of every window counted once, by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.examples import Example
from engine.data.features import Features, build_features
from engine.data.segments import CONTEXT
from engine.data.tokenizer import PairTokenizer
from engine.insight.probability import SpanSums, probability
from engine.insight.spans import AnswerRules, Window, decode, n_best
from tests.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PairTokenizer:
    return PairTokenizer.from_file(make_tiny_model(tmp_path_factory.mktemp("tiny") / "model") / "tokenizer.json")


def windows_of(features: Features, start: np.ndarray, end: np.ndarray, example: int) -> list[Window]:
    found = []
    for number in np.flatnonzero(features.feature_example == example).tolist():
        part = slice(int(features.token_offset[number]), int(features.token_offset[number + 1]))
        found.append(
            Window(
                number,
                start[part],
                end[part],
                features.segment[part],
                features.char_start[part].astype(np.int32),
                features.char_end[part].astype(np.int32),
                int(features.null_token[number]),
            )
        )
    return found


def by_brute_force(windows: list[Window], longest: int, allow_null: bool, temperature: float) -> float:
    """Log of the sum over distinct stretches of the passage, each with the best score of its windows."""
    best: dict[tuple[int, int], float] = {}
    for window in windows:
        tokens = [t for t in range(len(window.segment)) if window.segment[t] == CONTEXT]
        for i in tokens:
            for j in tokens:
                if i <= j < i + longest:
                    key = (int(window.char_start[i]), int(window.char_end[j]))
                    score = float(np.float32(window.start_logits[i]) + np.float32(window.end_logits[j]))
                    best[key] = max(best.get(key, -math.inf), score)
    scores = list(best.values())
    if allow_null:
        nulls = [float(w.start_logits[w.null_token] + w.end_logits[w.null_token]) for w in windows]
        scores.append(min(nulls))
    return math.log(sum(math.exp(score / temperature) for score in scores))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    stride=st.integers(0, 12),
    longest=st.integers(1, 50),
    allow_null=st.booleans(),
    temperature=st.sampled_from([0.5, 1.0, 3.0]),
    seed=st.integers(0, 1000),
)
def test_it_is_a_share_of_all_spans(
    tokenizer: PairTokenizer,
    lengths: list[int],
    stride: int,
    longest: int,
    allow_null: bool,
    temperature: float,
    seed: int,
) -> None:
    draw = np.random.default_rng(seed)
    texts = ["".join(draw.choice(list("abcdefgh "), size).tolist()).strip() or "a" for size in lengths]
    examples = [Example(str(n), "", "why?", text, ()) for n, text in enumerate(texts)]
    features = build_features(examples, tokenizer, max_length=24, doc_stride=stride)
    start, end = draw.normal(0, 3, (2, len(features.input_ids))).astype(np.float32)
    rules = AnswerRules(longest, allow_null=allow_null)
    totals = SpanSums.of(features, start, end, len(examples), rules).log_total(temperature)
    for number in range(len(examples)):
        windows = windows_of(features, start, end, number)
        assert totals[number] == pytest.approx(by_brute_force(windows, longest, allow_null, temperature), abs=1e-4)
        # All candidates together are certain, and the predicted answer is the most probable span.
        every = n_best(windows, rules, k=10**6)
        shares = probability(np.array([one.score for one in every]), totals[number], temperature=temperature)
        assert shares.sum() == pytest.approx(1.0, abs=1e-4)
    predicted = decode(features, start, end, len(examples), AnswerRules(longest))
    assert (probability(predicted.score, totals, temperature=temperature) > 0).all()


def test_scores_that_are_no_numbers(tokenizer: PairTokenizer) -> None:
    examples = [Example("1", "", "why?", "because", ()), Example("2", "", "why?", "because", ())]
    features = build_features(examples, tokenizer, max_length=24, doc_stride=4)
    start = np.full(len(features.input_ids), np.nan, np.float32)
    end = start.copy()
    half = int(features.token_offset[1])
    start[half:], end[half:] = 0.0, 0.0
    totals = SpanSums.of(features, start, end, 2, AnswerRules(30)).log_total()
    assert totals[0] == -math.inf
    assert probability(np.array([-math.inf, 0.0]), totals).tolist() == [0.0, pytest.approx(1 / 28)]
    infinite = np.full(len(features.input_ids), np.inf, np.float32)
    assert np.isfinite(
        probability(np.inf, SpanSums.of(features, infinite, infinite, 2, AnswerRules(30, allow_null=True)).log_total())
    ).all()
