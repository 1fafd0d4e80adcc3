"""Comparing two snapshots: counts, lists, better and worse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from engine.data.examples import Answer, Example, dump_examples, make_dataset, read_examples
from engine.events import Metrics
from engine.rundir.layout import RunDir
from tests.fake_run import make_run
from tui.model.viewer import Viewer
from tui.screens.compare.model import Comparison, Side, metric_rows, shared_examples
from tui.screens.compare.pair import LEFT, RIGHT, Pair


def metrics(em: float, loss: float | None = 1.0) -> Metrics:
    return Metrics(examples=5, start_accuracy=em / 100, end_accuracy=0.5, exact_match=em, f1=em, loss=loss)


def side(name: str, right: list[int], starts: list[int], confidence: list[float]) -> Side:
    flags = np.array(right, np.bool_)
    start = np.array(starts, np.int32)
    return Side(
        name, metrics(20.0), flags, flags.astype(np.float32), np.array(confidence, np.float32), start, start + 3
    )


def comparison() -> Comparison:
    return Comparison(
        side("a", [1, 0, 1, 0, 0], [1, 2, 3, 4, 5], [0.5, 0.5, 0.5, 0.5, 0.5]),
        side("b", [1, 1, 0, 0, 0], [1, 7, 8, 9, 5], [0.6, 1.0, 0.1, 0.4, 0.2]),
    )


def test_counts_and_lists() -> None:
    found = comparison()
    assert found.counts() == {"changed": 3, "learned": 1, "forgotten": 1, "both wrong": 2, "all": 5}
    assert found.rows("learned").tolist() == [1]
    assert found.rows("forgotten").tolist() == [2]
    assert found.rows("both wrong").tolist() == [4, 3]
    assert found.rows("changed").tolist() == [1, 2, 3]
    assert found.rows("all").tolist() == [1, 2, 4, 0, 3]


def test_a_side_over_some_examples() -> None:
    taken = comparison().right.take(np.array([1, 4], np.int32))
    assert taken.right.tolist() == [True, False]
    assert taken.char_end.tolist() == [10, 8]


def test_less_loss_is_better() -> None:
    rows = {row.name: row for row in metric_rows(metrics(20, loss=2.0), metrics(30, loss=1.0))}
    assert rows["EM"].better == 1
    assert rows["EM"].difference == 10
    assert rows["loss"].better == 1
    assert rows["end accuracy"].better == 0
    assert metric_rows(metrics(20), metrics(20, loss=None))[-1].difference is None


def test_runs_are_matched_by_id() -> None:
    left, right = shared_examples(["a", "b", "c"], ["c", "x", "a"])
    assert left.tolist() == [0, 2]
    assert right.tolist() == [2, 0]
    assert shared_examples(["a"], ["b"])[0].tolist() == []
    same, also = shared_examples(["a", "b"], ["a", "b"])
    assert same.tolist() == also.tolist() == [0, 1]


def with_labels(run: RunDir, change: Callable[[list[Example]], list[Example]]) -> RunDir:
    """The run with other labels, or without some of its examples: as a run on corrected data has them."""
    dataset = read_examples(run.examples_file)
    run.examples_file.write_bytes(dump_examples(make_dataset(dataset.train, change(list(dataset.eval)))))
    return run


def test_labels_that_differ_between_two_runs(tmp_path: Path) -> None:
    first = make_run(tmp_path, name="first", examples=6, snapshots=3, tokens=30)

    def corrected(examples: list[Example]) -> list[Example]:
        word = examples[1].context.split()[0]
        examples[1] = replace(examples[1], answers=(Answer(word, 0),))
        examples[2] = replace(examples[2], answers=(), is_impossible=True)
        return examples

    second = with_labels(make_run(tmp_path, name="second", examples=6, snapshots=3, tokens=30), corrected)
    pair, watched = Pair(), Viewer(first.path)
    watched.refresh()
    pair.load(watched)
    assert pair.other_labels == 0
    pair.seat_run(second.path)
    pair.show = "all"
    pair.load(watched)
    assert pair.other_labels == 2
    assert sorted(int(row) for place, row in enumerate(pair.rows) if pair.has_other_label(place)) == [1, 2]
    assert pair.left_out() == 0


def test_ids_that_were_counted_are_found_by_question_and_passage(tmp_path: Path) -> None:
    def numbered(examples: list[Example]) -> list[Example]:
        return [replace(example, id=f"question-{number}") for number, example in enumerate(examples, 1)]

    first = with_labels(make_run(tmp_path, name="first", examples=6, snapshots=3, tokens=30), numbered)
    second = with_labels(
        make_run(tmp_path, name="second", examples=6, snapshots=3, tokens=30),
        lambda examples: numbered([examples[0], *examples[2:], examples[1]]),
    )
    pair, watched = Pair(), Viewer(first.path)
    watched.refresh()
    pair.load(watched)
    pair.seat_run(second.path)
    pair.show = "all"
    pair.load(watched)
    there = {pair.example(row, LEFT): pair.example(row, RIGHT) for row in range(len(pair.rows))}
    assert there == {0: 0, 1: 5, 2: 1, 3: 2, 4: 3, 5: 4}
    assert (pair.other_labels, pair.left_out()) == (0, 0)
