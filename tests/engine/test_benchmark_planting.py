"""The errors that the benchmark of suspects plants are errors, and what it takes for human errors are some."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.data.examples import Answer, Example
from engine.insight.metrics import normalize_answer
from tests.benchmarks.planting import CLEAN, HUMAN, KINDS, UNCLEAR, passages, plant
from tests.benchmarks.suspects import ranking_quality


def question(passage: int, number: int) -> Example:
    """Three sentences of ten words; the answer is two words, and annotators differ by one word."""
    words = [[f"w{passage}s{sentence}n{word}" for word in range(10)] for sentence in range(3)]
    text = " ".join("The " + " ".join(sentence) + "." for sentence in words)
    sentence, word = number % 3, 1 + number % 7

    def answer(first: int, last: int) -> Answer:
        start = text.index(words[sentence][first])
        return Answer(text[start : text.index(words[sentence][last]) + len(words[sentence][last])], start)

    golds = (answer(word, word + 1), answer(word, word + 2), answer(word, word + 1))
    return Example(f"{passage}-{number}", "t", "which?", text, golds)


EXAMPLES = [question(passage, number) for passage in range(40) for number in range(5)]


def spans(example: Example) -> list[tuple[int, int]]:
    return [(answer.start, answer.start + len(answer.text)) for answer in example.answers]


@pytest.mark.parametrize("seed", [1, 2])
def test_planted_labels_are_wrong(seed: int) -> None:
    noisy = plant(EXAMPLES, share=0.05, seed=seed)
    assert Counter(noisy.kinds) == {CLEAN: 160, **dict.fromkeys(KINDS, 10)}
    for before, after, kind in zip(EXAMPLES, noisy.examples, noisy.kinds, strict=True):
        (answer,) = after.answers
        assert after.context[answer.start : answer.start + len(answer.text)] == answer.text
        (low, high), golds = spans(after)[0], spans(before)
        touches = [low < end and start < high for start, end in golds]
        if kind == CLEAN:
            assert answer == before.answers[0]
        elif kind == "boundary":
            assert touches[0]
            assert normalize_answer(answer.text) not in {normalize_answer(gold.text) for gold in before.answers}
            assert (low == golds[0][0]) != (high == golds[0][1])  # one end moved
        else:
            assert not any(touches)
        if kind == "swapped":
            assert answer in [other.answers[0] for other in EXAMPLES if other.context == before.context]
    assert noisy == plant(EXAMPLES, share=0.05, seed=seed)
    assert noisy != plant(EXAMPLES, share=0.05, seed=seed + 1)


def test_human_errors_stay_as_they_are() -> None:
    base = EXAMPLES[0]
    start = base.context.index("w0s2n8")
    elsewhere, third = Answer("w0s2n8", start), Answer("w0s1n8", base.context.index("w0s1n8"))
    others = base.answers[1:]
    cases = {
        HUMAN: (elsewhere, *others),
        UNCLEAR: (elsewhere, third, others[0]),  # nobody agrees
        CLEAN: (elsewhere, others[0]),  # two annotators only
    }
    examples = [Example(kind, "t", "which?", base.context, golds) for kind, golds in cases.items()]
    noisy = plant(examples, share=0.0, seed=1)
    assert noisy.kinds == list(cases)
    assert [example.answers for example in noisy.examples] == [(elsewhere,)] * 3


def test_a_sample_has_whole_passages() -> None:
    chosen = passages(EXAMPLES, 52, seed=3)
    assert len(chosen) == 55
    assert all(count == 5 for count in Counter(example.context for example in chosen).values())


def test_average_precision_by_hand() -> None:
    # Ranked: wrong, right, wrong, right, and a wrong one without a score comes last: (1 + 2/3 + 3/5) / 3.
    scores = np.array([9.0, 8, 7, 6, np.nan])
    wrong = np.array([True, False, True, False, True])
    average, at_50 = ranking_quality(scores, wrong)
    assert average == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert at_50 == 3 / 5
