"""The data map's cells, the walk through them, and the orders of its list: worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.insight.dynamics import NEEDED, Dynamics
from engine.insight.evidence import evidence
from tui.screens.map.model import (
    SORTS,
    MapCells,
    MapRows,
    WordChoice,
    classes,
    majorities,
    map_cells,
    sorted_examples,
    words_of,
)


def made(confidence: list[float], variability: list[float], **columns: list[float]) -> Dynamics:
    count = len(confidence)
    zeros = {name: np.zeros((2, count), np.float32) for name in NEEDED}

    def column(name: str, dtype: type = np.float32) -> np.ndarray:
        return np.array(columns.get(name, [0] * count), dtype)

    return Dynamics(
        snapshots=(5, 6),
        labels=("epoch 1", "epoch 2"),
        right=np.zeros((2, count), np.bool_),
        answer_start=np.zeros(count, np.int32),
        answer_end=np.zeros(count, np.int32),
        answer_iou=np.zeros(count, np.float32),
        evidence=evidence(zeros),
        log_prob=np.zeros(count, np.float32),
        confidence=np.array(confidence, np.float32),
        variability=np.array(variability, np.float32),
        correctness=column("correctness"),
        forgetting=column("forgetting", np.int32),
        first_learned=column("first_learned", np.int32),
        far=np.zeros(count, np.float32),
        near=np.zeros(count, np.float32),
        null=np.zeros(count, np.float32),
        overlap=np.zeros(count, np.float32),
    )


DYNAMICS = made(
    [1.0, 0.0, 0.5, 0.5, float("nan"), 1.0],
    [0.0, 0.0, 0.5, 0.25, float("nan"), 0.01],
    correctness=[1, 0, 0.5, 0.5, 0, 1],
    forgetting=[0, 0, 2, 1, 0, 0],
    first_learned=[5, -1, 6, 5, -1, 5],
)


def test_cells() -> None:
    cells = map_cells(DYNAMICS, 11, 5)
    assert [cells.at(number) for number in range(6)] == [(0, 4), (0, 0), (10, 2), (5, 2), (-1, -1), (0, 4)]
    assert cells.same(0).tolist() == [0, 5]
    assert cells.same(4).tolist() == []


def test_steps() -> None:
    cells = map_cells(DYNAMICS, 11, 5)
    assert cells.step(0, 0, -1) == 1  # straight down, although 3 lies higher
    assert cells.step(0, 1, 0) == 3
    assert cells.step(3, 1, 0) == 2
    assert cells.step(2, 1, 0) == 2  # nothing lies further
    assert cells.step(2, -1, 0) == 3
    assert cells.step(1, 0, 1) == 0
    assert cells.step(4, 1, 0) == 0  # off the map: to its first example
    nobody = MapCells(3, 3, np.array([-1], np.int32), np.array([-1], np.int32))
    assert nobody.step(0, 1, 0) == 0


def test_signs_of_cells() -> None:
    assert classes(np.array([0, 0.2, 0.5, 0.9, 1], np.float32)).tolist() == [0, 1, 1, 2, 3]
    cells = MapCells(2, 1, np.array([0, 0, 0, 1, 1, -1], np.int32), np.zeros(6, np.int32))
    assert majorities(cells, np.array([3, 3, 0, 3, 1, 0], np.int8)).tolist() == [[3, 1]]
    assert majorities(MapCells(2, 1, cells.column * 0 - 1, cells.row), np.zeros(6, np.int8)).tolist() == [[-1, -1]]


@pytest.mark.parametrize(
    ("sort", "first"),
    [("confidence", 1), ("variability", 2), ("right", 1), ("forgotten", 2), ("first learned", 1), ("data", 0)],
)
def test_orders_begin_with_what_deserves_a_look(sort: str, first: int) -> None:
    assert sort in SORTS
    order = sorted_examples(DYNAMICS, sort)
    assert order[0] == first
    assert sorted(order.tolist()) == list(range(6))


def test_the_cursor_stays_or_takes_the_next_row() -> None:
    rows = MapRows()
    assert rows.take(np.array([4, 2, 9], np.int32), 2) == 2
    assert rows.place == 1
    assert rows.take(np.array([4, 9], np.int32), 2) == 9  # the one that took its place
    assert rows.take(np.array([4], np.int32), 9) == 4
    assert rows.take(np.zeros(0, np.int32), 4) == -1
    assert not rows.point(4)


def test_an_answer_is_chosen_by_words() -> None:
    text = "Take it, twice. 蜂蜜 helps"
    assert [text[start:end] for start, end in words_of(text)] == ["Take", "it", ",", "twice", ".", "蜂", "蜜", "helps"]
    choice = WordChoice().begun(text, 4)
    assert choice.word == 1
    assert choice.moved(text, 10).word == 7
    assert choice.moved(text, -10).word == 0
    assert text[slice(*choice.moved(text, 2).span(text))] == "twice"
    assert text[slice(*WordChoice(word=1, first=3).span(text))] == "it, twice"
    assert WordChoice().begun(text, 99).word == 7
