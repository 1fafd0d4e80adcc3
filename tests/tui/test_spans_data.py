"""What the Spans screen shows equals what the run's files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.rundir.eval_set import EvalSet
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_name
from engine.storage.tensors import Tensors
from tests.fake_run import make_run
from tui.model.predictions import KEPT, NO_ANSWER, SpanData, span_text


def data_of(run: RunDir) -> SpanData:
    return SpanData(EvalSet(run), Tensors(run.features_file), lambda i: Snapshot(run.path / snapshot_name(i)))


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path, examples=24, snapshots=5, tokens=40, windows=2, has_impossible=True)


def test_spans_are_the_words_of_the_passage(run: RunDir) -> None:
    data = data_of(run)
    columns = data.at(4)
    predicted = data.predicted(columns)
    for number, example in enumerate(EvalSet(run).examples):
        words = example.context.split(" ")
        lo, hi = int(predicted.start[number]), int(predicted.end[number])
        text = " ".join(words[lo : hi + 1]) if lo >= 0 else NO_ANSWER
        assert data.answered(number, columns) == text
        lo, hi = int(data.truth.start[number]), int(data.truth.end[number])
        assert data.expected(number) == (" ".join(words[lo : hi + 1]) if lo >= 0 else NO_ANSWER)
        assert data.grid.length[number] == len(words)
    rows = np.array([23, 0, 3, 7, 0], np.int32)
    for some, every in ((data.truth_of(rows), data.truth), (data.predicted_of(columns, rows), predicted)):
        assert some.start.tolist() == every.start[rows].tolist()
        assert some.end.tolist() == every.end[rows].tolist()
    assert data.longest_of(rows) == data.grid.length[rows].max()
    assert data.impossible.tolist() == [number % 4 == 3 for number in range(24)]


def test_right_is_exact_match_and_learned_is_against_the_snapshot_before(run: RunDir) -> None:
    data = data_of(run)
    now = Snapshot(run.path / snapshot_name(2)).column("exact_match") == 1
    before = Snapshot(run.path / snapshot_name(1)).column("exact_match") == 1
    judged = data.judged(2, 1)
    assert (judged.right == now).all()
    assert (judged.learned == (now & ~before)).all()
    assert (judged.forgotten == (before & ~now)).all()
    assert data.judged(0, None).was_right is None


def test_only_a_few_snapshots_stay_in_memory(run: RunDir) -> None:
    data = data_of(run)
    first = data.at(0)
    assert data.at(0) is first
    assert data.at(3) is not first
    for position in range(1, 5):
        data.at(position)
    assert len(data._columns) == min(5, KEPT)


def test_search_looks_at_questions_answers_and_ids(run: RunDir) -> None:
    data = data_of(run)
    found = data.find("fake-7")
    assert found is not None
    assert np.flatnonzero(found).tolist() == [7]
    assert data.find("  ") is None
    by_answer = data.find(data.expected(0).upper())
    assert by_answer is not None
    assert by_answer[0]


def test_a_span_as_text(run: RunDir) -> None:
    data = data_of(run)
    assert span_text(data.truth, 3) == "-"
    start, end = data.truth.start[0], data.truth.end[0]
    assert span_text(data.truth, 0) == (f"{start}-{end}" if start != end else f"{start}")
    assert [data.expected_span(number) for number in (0, 3)] == [span_text(data.truth, number) for number in (0, 3)]
    columns = data.at(2)
    assert data.predicted_span(5, columns) == span_text(data.predicted(columns), 5)
