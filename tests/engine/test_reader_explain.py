"""Explanations and layers through the answering process, of a real run's weights."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.data.segments import CONTEXT, SPECIAL
from engine.errors import UsageError
from engine.insight.attribution import words
from engine.insight.spans import softmax
from engine.messages import Decision, ExplainRequest, WindowScores
from engine.reader import Reader
from engine.rundir.layout import RunDir
from tests.tiny_run import kept_run

PASSAGE = "For the winter fever 7 take honey 7, then rest for 9 days."
QUESTION = "What do I take?"
LONG = " ".join(PASSAGE.replace("7", str(number)) for number in range(9))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return kept_run(tmp_path_factory)


@pytest.fixture(scope="module")
def reader(run: RunDir) -> Iterator[Reader]:
    with Reader(run.path) as made:
        yield made


def window_probability(window: WindowScores, begin: int, end: int, *, null: bool = False) -> float:
    """P of a start times P of an end in a window, from its logits."""
    choosable = np.array(window.segment) == CONTEXT
    choosable[window.null_token] |= null
    starts, ends = softmax(np.array([window.start_logits, window.end_logits], np.float32), choosable)
    return float(starts[begin] * ends[end])


def test_an_explanation_is_of_the_answer_that_is_given(reader: Reader) -> None:
    answer = reader.answer(QUESTION, PASSAGE, n_best=5)
    found = reader.explain(QUESTION, PASSAGE, methods=("gradient", "integrated"), steps=40)
    [window] = found.answer.scores
    assert msgspec.structs.replace(found.answer, scores=()) == answer
    assert (window.char_start[found.start], window.char_end[found.end]) == (answer.char_start, answer.char_end)
    assert found.probability == pytest.approx(window_probability(window, found.start, found.end), rel=1e-5)
    gradient, integrated = found.opinions
    assert (gradient.method, integrated.method) == ("gradient", "integrated")
    assert min(gradient.weights) > 0
    assert gradient.gap == 0
    assert len(gradient.weights) == len(integrated.weights) == len(window.tokens)
    for opinion in found.opinions:
        test = opinion.test
        assert test.before == pytest.approx(found.probability, rel=1e-3)
        assert len(test.masked) == 5
        weights = np.array(opinion.weights)
        outside = [
            token
            for token, kind in enumerate(window.segment)
            if kind != SPECIAL and not found.start <= token <= found.end
        ]
        assert set(test.masked) == set(sorted(outside, key=lambda token: -weights[token])[:5])
        assert 0 <= test.after <= 1
        assert 0 <= test.after_random <= 1
    held = words(QUESTION, PASSAGE, window.segment, window.char_start, window.char_end, gradient.weights)
    assert sum(word.share for word in held) == pytest.approx(1)
    assert {word.text for word in held} >= {"honey", "winter", "What"}


def test_it_comes_a_second_time_as_it_was(reader: Reader) -> None:
    first, second = (reader.explain(QUESTION, PASSAGE) for _ in range(2))
    assert msgspec.structs.replace(first, id=0, seconds=0) == msgspec.structs.replace(second, id=0, seconds=0)
    assert first.seconds > 0


def test_of_a_long_passage_the_window_of_the_answer_is_explained(reader: Reader) -> None:
    answer = reader.answer(QUESTION, LONG, scores="best")
    assert answer.windows > 1
    found = reader.explain(QUESTION, LONG)
    assert [window.number for window in found.answer.scores] == [window.number for window in answer.scores]
    assert found.answer.char_start == answer.char_start


def test_no_answer_is_explained_too(run: RunDir) -> None:
    with Reader(run.path, allow_null=True) as made:
        found = made.explain(QUESTION, LONG, decision=Decision(threshold=-100.0))
        assert found.answer.text == ""
        [window] = found.answer.scores
        assert found.start == found.end == window.null_token
        assert found.probability == pytest.approx(
            window_probability(window, found.start, found.end, null=True), rel=1e-5
        )
        every = made.answer(QUESTION, LONG, scores="all").scores
        lowest = min(every, key=lambda one: one.start_logits[one.null_token] + one.end_logits[one.null_token])
        assert window.number == lowest.number
        assert len(found.opinions[0].test.masked) == 5


def test_layers_end_with_the_models_own_scores(reader: Reader) -> None:
    found = reader.layers(QUESTION, PASSAGE)
    [window] = found.answer.scores
    assert len(found.start_logits) == len(found.end_logits) == 3, "two layers and the embeddings"
    for logits, probability, own in (
        (found.start_logits, found.start_probability, window.start_logits),
        (found.end_logits, found.end_probability, window.end_logits),
    ):
        np.testing.assert_allclose(logits[-1], own, rtol=1e-5, atol=1e-5)
        shares = softmax(np.array(logits, np.float32), np.array(window.segment) == CONTEXT)
        np.testing.assert_allclose(probability, shares, rtol=1e-5, atol=1e-7)
        assert not np.allclose(logits[0], logits[-1])
    assert (window.char_start[found.start], window.char_end[found.end]) == (
        found.answer.char_start,
        found.answer.char_end,
    )


def test_layers_of_another_window(reader: Reader) -> None:
    own = reader.layers(QUESTION, LONG)
    [window] = own.answer.scores
    other = (window.number + 1) % own.answer.windows
    found = reader.layers(QUESTION, LONG, window=other)
    assert found.answer.scores[0].number == other
    assert found.start == found.end == -1
    with pytest.raises(UsageError, match="no window 99"):
        reader.layers(QUESTION, LONG, window=99)


def test_what_can_not_be_explained(reader: Reader) -> None:
    with pytest.raises(UsageError, match="the question is empty"):
        reader.explain(" ", PASSAGE)
    with pytest.raises(UsageError, match="the passage is empty"):
        reader.layers(QUESTION, "\n")
    for steps, masked, draws in ((0, 5, 5), (20, 0, 5), (20, 5, 0)):
        request = ExplainRequest(
            id=reader.next_id(), question=QUESTION, context=PASSAGE, steps=steps, masked=masked, draws=draws
        )
        with pytest.raises(UsageError, match="are no explanation"):
            reader.wait(reader.submit(request))
    assert reader.explain(QUESTION, PASSAGE).opinions, "and goes on"


def test_the_python_face_needs_no_torch(run: RunDir, tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys\nfrom engine import Reader\n"
        f"with Reader({str(run.path)!r}) as reader:\n"
        f"    found = reader.explain({QUESTION!r}, {PASSAGE!r})\n"
        "assert found.opinions[0].weights\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
