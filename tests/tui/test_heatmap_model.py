"""The heat map as numbers: exact columns, probabilities over what may be chosen, shades without colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.insight.spans import softmax
from tui.drawing.heat_map import (
    HeatMap,
    rows_around,
    shade,
    share_columns,
    spread,
)
from tui.drawing.heat_strips import HEAT_GLYPHS
from tui.screens.heatmap.model import story


@settings(deadline=None)
@given(st.integers(1, 600), st.integers(1, 300))
def test_every_token_has_the_same_whole_share(tokens: int, width: int) -> None:
    columns = share_columns(tokens, width)
    assert 1 <= columns.count <= width
    covered = [token for column in range(columns.count) for token in columns.at(column)]
    assert sorted(set(covered)) == list(range(tokens))
    for token in range(tokens):
        for column in columns.of(token):
            assert token in columns.at(column)
    if columns.tokens_each == 1:
        assert {len(columns.of(token)) for token in range(tokens)} == {columns.each}


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 120), st.integers(0, 10_000))
def test_a_column_keeps_its_largest_token(tokens: int, width: int, seed: int) -> None:
    probability = np.random.default_rng(seed).random((3, tokens), dtype=np.float32)
    columns = share_columns(tokens, width)
    drawn = spread(probability, columns)
    assert drawn.shape == (3, columns.count)
    for column in range(columns.count):
        assert (drawn[:, column] == probability[:, list(columns.at(column))].max(axis=1)).all()


def test_probabilities_are_over_what_may_be_chosen() -> None:
    logits = np.array([[9.0, 1.0, 2.0, 3.0], [0.0, -500.0, -400.0, -400.0]], np.float32)
    found = softmax(logits, np.array([False, True, True, True]))
    assert found[:, 0].tolist() == [0, 0]
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found[0].argmax() == 3


def test_nothing_may_be_chosen() -> None:
    assert softmax(np.ones((1, 3), np.float32), np.zeros(3, np.bool_)).tolist() == [[0, 0, 0]]


def test_shades_grow_with_probability() -> None:
    found = shade(np.array([0, 0.009, 0.01, 0.05, 0.2, 0.5, 1], np.float32))
    assert found.tolist() == [0, 0, 1, 2, 3, 4, 4]
    for glyphs in HEAT_GLYPHS.values():
        assert len(glyphs.shades) == len(set(glyphs.shades)) == 5
        assert glyphs.guide not in glyphs.shades


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 200), st.integers(1, 60))
def test_the_current_snapshot_is_always_shown(current: int, total: int, height: int) -> None:
    rows = rows_around(min(current, total - 1), total, height)
    assert min(current, total - 1) in rows
    assert len(rows) == min(total, height)
    assert rows.start >= 0
    assert rows.stop <= total


def test_right_needs_an_expected_token() -> None:
    probability = np.zeros((2, 4), np.float32)
    assert HeatMap(probability, 2, np.array([2, 1], np.int32)).right.tolist() == [True, False]
    assert HeatMap(probability, -1, np.array([-1, -1], np.int32)).right.tolist() == [False, False]


@pytest.mark.parametrize(
    ("right", "words"),
    [
        ([], "no snapshot yet"),
        ([0, 0, 0], "never right so far"),
        ([0, 1, 1], "first right at 1, and ever since"),
        ([0, 0, 1], "first right at 2"),
        ([0, 1, 0], "first right at 1, forgotten once, wrong now"),
        ([1, 0, 1, 0, 1], "first right at 0, forgotten 2 times, right now"),
    ],
)
def test_the_story(right: list[int], words: str) -> None:
    flags = [bool(value) for value in right]
    assert story(flags, flags, [str(i) for i in range(len(flags))]) == words
