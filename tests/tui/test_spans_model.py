"""Span charts and the example list, as numbers: exact cells, fixed columns, a cursor that keeps its example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tui.model import token_grid
from tui.model.predictions import Judged, find_text
from tui.model.token_grid import Spans, TokenGrid
from tui.screens.spans.grid import SpanCell, only, page_of, span_cells, tokens_per_row
from tui.screens.spans.model import FILTERS, SORTS, SpanOrder


def spans(*pairs: tuple[int, int]) -> Spans:
    return Spans(np.array([p[0] for p in pairs], np.int32), np.array([p[1] for p in pairs], np.int32))


def grid_of_two_passages() -> TokenGrid:
    """Examples 0 and 1 ask the passage "aa bb cc dd" (two overlapping windows), example 2 asks "x yyy"."""
    windows = [
        (0, [(0, 0), (0, 1), (0, 2), (3, 2), (6, 2)]),
        (0, [(0, 0), (0, 1), (3, 2), (6, 2), (9, 2)]),
        (1, [(0, 0), (0, 1), (0, 2), (3, 2), (6, 2)]),
        (1, [(0, 0), (0, 1), (3, 2), (6, 2), (9, 2)]),
        (2, [(0, 0), (0, 1), (0, 2), (2, 2)]),
    ]
    arrays: dict[str, NDArray[Any]] = {
        "char_start": np.array([start for _, tokens in windows for start, _ in tokens], np.int32),
        "segment": np.array([segment for _, tokens in windows for _, segment in tokens], np.int8),
    }
    return TokenGrid(
        ["aa bb cc dd", "aa bb cc dd", "x yyy"],
        np.array([example for example, _ in windows], np.int32),
        np.cumsum([0] + [len(tokens) for _, tokens in windows]).astype(np.int64),
        lambda name, lo, hi: arrays[name][lo:hi],
    )


@pytest.mark.parametrize("at_once", [1, 2, 4096])
def test_overlapping_windows_agree_on_the_token(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(token_grid, "WINDOWS", at_once)
    grid = grid_of_two_passages()
    assert grid.length.tolist() == [4, 4, 2]
    found = grid.spans(np.array([6, 9, 2], np.int32), np.array([11, 11, 5], np.int32))
    assert list(zip(found.start.tolist(), found.end.tolist(), strict=True)) == [(2, 3), (3, 3), (1, 1)]
    assert found.size.tolist() == [2, 1, 1]


def test_no_answer_is_no_token() -> None:
    found = grid_of_two_passages().spans(np.full(3, -1, np.int32), np.full(3, -1, np.int32))
    assert found.start.tolist() == [-1, -1, -1]
    assert found.size.tolist() == [0, 0, 0]


def test_cells_tell_true_predicted_both_and_apart() -> None:
    cells = span_cells(
        spans((0, 1), (0, 3), (4, 5), (0, 0)),
        spans((4, 5), (2, 5), (-1, -1), (1, 1)),
        height=3,
        per_row=2,
        none_row=True,
    )
    assert cells.T.tolist() == [
        [SpanCell.PREDICTED, SpanCell.EMPTY, SpanCell.TRUE, SpanCell.EMPTY],
        [SpanCell.PREDICTED, SpanCell.BOTH, SpanCell.TRUE, SpanCell.EMPTY],
        [SpanCell.TRUE, SpanCell.EMPTY, SpanCell.EMPTY, SpanCell.PREDICTED],
        [SpanCell.EMPTY, SpanCell.EMPTY, SpanCell.APART, SpanCell.EMPTY],
    ]
    assert only(cells, SpanCell.TRUE)[:, 1].tolist() == [0, 1, 1, 0]
    assert only(cells, SpanCell.PREDICTED)[:, 3].tolist() == [0, 0, 2, 0]


span = st.integers(0, 300).flatmap(lambda a: st.tuples(st.just(a), st.integers(a, min(a + 40, 400))))
answers = st.one_of(span, st.just((-1, -1)))


@settings(deadline=None)
@given(st.lists(st.tuples(answers, answers), min_size=1, max_size=20), st.integers(1, 40), st.booleans())
def test_every_token_of_a_span_is_in_its_row_and_no_other(
    pairs: list[tuple[tuple[int, int], tuple[int, int]]], height: int, none_row: bool
) -> None:
    per_row = tokens_per_row(401, height)
    cells = span_cells(
        spans(*(a for a, _ in pairs)),
        spans(*(b for _, b in pairs)),
        height=height,
        per_row=per_row,
        none_row=none_row,
    )
    assert cells.shape == (height + none_row, len(pairs))
    for column, (truth, predicted) in enumerate(pairs):
        for row in range(height):
            tokens = range((height - 1 - row) * per_row, (height - row) * per_row)
            mine = {t for t in tokens if truth[0] >= 0 and truth[0] <= t <= truth[1]}
            theirs = {t for t in tokens if predicted[0] >= 0 and predicted[0] <= t <= predicted[1]}
            wanted = SpanCell.TRUE * bool(mine) + SpanCell.PREDICTED * bool(theirs)
            if wanted == SpanCell.BOTH and not mine & theirs:
                wanted = SpanCell.APART
            assert cells[row, column] == wanted


@settings(deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 300), st.integers(1, 6), st.data())
def test_pages_cover_every_example_once(total: int, columns: int, each: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, total - 1))
    page = page_of(place, total, columns, each)
    assert page.first <= place < page.last
    assert page.count * each <= max(columns, each)
    if page.last < total:
        assert page_of(page.last, total, columns, each).first == page.last


def judged(n: int = 6) -> Judged:
    return Judged(
        right=np.array([1, 0, 1, 0, 1, 0], np.bool_)[:n],
        was_right=np.array([0, 0, 1, 1, 1, 0], np.bool_)[:n],
        scored=np.ones(n, np.bool_),
        both=np.ones(n, np.bool_),
        iou=np.array([1, 0.2, 0.9, 0.4, 1, 0], np.float32)[:n],
        confidence=np.array([0.9, 0.1, 0.8, 0.3, 0.7, 0.2], np.float32)[:n],
        true_start=lambda: np.array([5, 3, 9, 1, 0, -1], np.int32)[:n],
        impossible=np.array([0, 0, 0, 0, 0, 1], np.bool_)[:n],
    )


def test_sort_cycles_through_four_orders() -> None:
    order = SpanOrder(6)
    seen = []
    for _ in SORTS:
        order.next_sort()
        order.apply(judged())
        seen.append((order.sort, order.rows.tolist()))
    assert seen == [
        ("true start", [5, 4, 3, 1, 0, 2]),
        ("IoU", [5, 1, 3, 2, 0, 4]),
        ("confidence", [1, 5, 3, 4, 2, 0]),
        ("data order", [0, 1, 2, 3, 4, 5]),
    ]


def test_filters() -> None:
    order = SpanOrder(6)
    found = {}
    for _ in FILTERS:
        order.next_filter()
        order.apply(judged())
        found[order.show] = order.rows.tolist()
    assert found == {
        "wrong": [1, 3, 5],
        "right": [0, 2, 4],
        "learned": [0],
        "forgotten": [3],
        "impossible": [5],
        "scored": [0, 1, 2, 3, 4, 5],
        "all": [0, 1, 2, 3, 4, 5],
    }


def test_what_is_not_scored_is_neither_right_nor_wrong_nor_learned() -> None:
    some = replace(judged(), scored=np.array([1, 1, 0, 0, 1, 0], np.bool_), both=np.array([0, 1, 0, 0, 1, 0], np.bool_))
    found = {}
    for show in FILTERS:
        order = SpanOrder(6, show=show)
        order.apply(some)
        found[show] = order.rows.tolist()
    assert found["wrong"] == [1]
    assert found["scored"] == [0, 1, 4]
    assert found["learned"] == found["forgotten"] == []


def test_nothing_is_learned_at_the_first_snapshot() -> None:
    first = replace(judged(), was_right=None)
    assert not first.learned.any()
    assert not first.forgotten.any()


def test_the_cursor_keeps_its_example_and_goes_to_the_nearest_row_when_it_is_hidden() -> None:
    order = SpanOrder(6)
    order.move_to(3)
    order.sort = "IoU"
    order.apply(judged())
    assert (order.example, order.place) == (3, 2)
    order.show = "right"
    order.apply(judged())
    assert order.example == 4
    assert order.place_of(3) == -1


def test_an_empty_list_has_a_cursor_nowhere_and_comes_back() -> None:
    order = SpanOrder(6)
    order.move_to(2)
    order.apply(judged(), matches=np.zeros(6, np.bool_))
    assert len(order.rows) == 0
    assert not order.move_to(1)
    order.apply(judged())
    assert order.example == 2


def test_the_order_says_what_it_is() -> None:
    order = SpanOrder(6, sort="IoU", show="wrong", text="fever")
    order.apply(judged(), matches=np.array([0, 1, 1, 1, 0, 0], np.bool_), taken_at="epoch 2")
    assert order.describe() == "2 of 6, wrong, with “fever”, by IoU, as at epoch 2"
    assert SpanOrder(6).describe() == "6 examples, in data order"


@pytest.mark.parametrize(("needle", "found"), [("fever", [0, 2]), ("HIGH fever", [2]), ("", [0, 1, 2])])
def test_search_wants_every_word_in_one_text(needle: str, found: list[int]) -> None:
    texts = [["what is a fever", "what is a cough", "is a high fever bad"], ["a", "b", "c"]]
    assert np.flatnonzero(find_text(needle, texts)).tolist() == found
