"""Span charts as text: exact columns at every width, shapes that tell without colour, an ASCII set."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style

from tui.drawing.frame import ASCII, UNICODE
from tui.model.token_grid import Spans
from tui.screens.spans.strips import GUTTER, SpanChart, View, chart_strips

VIEWS: list[list[View]] = [["overlaid"], ["predicted", "true", "overlaid"]]


def plain(role: str) -> Style:
    return Style.null()


def spans(*pairs: tuple[int, int]) -> Spans:
    return Spans(np.array([p[0] for p in pairs], np.int32), np.array([p[1] for p in pairs], np.int32))


def drawn(chart: SpanChart, views: list[View], width: int, height: int, *, ascii_only: bool = False) -> list[str]:
    return [s.text for s in chart_strips(chart, views, width, height, plain, ASCII if ascii_only else UNICODE)]


def test_three_examples_read_without_colour() -> None:
    chart = SpanChart(spans((0, 1), (2, 3), (-1, -1)), spans((0, 1), (3, 4), (1, 1)), 5, cursor=1, none_row=True)
    assert drawn(chart, ["overlaid"], 60, 8) == [
        "      ▀ expected  ▄ predicted  █ both  ▚ both, apart   one row"[:60],
        "   4 ┤  ▄                                                   ",
        "     │  █                                                   ",
        "     │  ▀                                                   ",
        "     │█ ┊ ▄                                                 ",
        "   0 ┤█ ┊                                                   ",
        "none ┤  ┊ ▀                                                 ",
        "     └──▲───────────────────────────────────────────────────",
    ]


def test_ascii_set() -> None:
    chart = SpanChart(spans((0, 1), (0, 0)), spans((1, 2), (1, 1)), 3, cursor=0)
    assert drawn(chart, ["overlaid"], 12, 5, ascii_only=True)[1:] == [
        "     |.     ",
        "     |# .   ",
        "   0 +' '   ",
        "     +^-----",
    ]


def test_charts_stand_one_below_the_other_on_the_same_columns() -> None:
    chart = SpanChart(spans((0, 0), (1, 1)), spans((1, 1), (1, 1)), 2)
    lines = drawn(chart, ["predicted", "true", "overlaid"], 80, 11)
    assert [line[GUTTER:].split("   one")[0].rstrip() for line in lines] == [
        "▄ predicted",
        "▄ ▄",
        "",
        "▀ expected",
        "  ▀",
        "▀",
        "▀ expected  ▄ predicted  █ both  ▚ both, apart",
        "▄ █",
        "▀",
        "─" * 74,
        "",
    ]


span = st.integers(0, 150).flatmap(lambda a: st.tuples(st.just(a), st.integers(a, min(a + 30, 180))))
answer = st.one_of(span, st.just((-1, -1)))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(answer, answer), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(20, 300),
    st.integers(2, 40),
    st.sampled_from(VIEWS),
    st.booleans(),
)
def test_every_example_owns_its_columns_and_no_other(
    pairs: list[tuple[tuple[int, int], tuple[int, int]]],
    each: int,
    width: int,
    height: int,
    views: list[View],
    ascii_only: bool,
) -> None:
    page = pairs[: max(1, (width - GUTTER) // each)]
    truth, predicted = spans(*(t for t, _ in page)), spans(*(p for _, p in page))
    whole = drawn(SpanChart(truth, predicted, 181, each, none_row=True), views, width, height, ascii_only=ascii_only)
    assert len(whole) == height
    assert {len(line) for line in whole} == {width}
    for number in {0, len(page) // 2, len(page) - 1}:
        gone = spans(*[((500, 500) if i == number else t) for i, (t, _) in enumerate(page)])
        left = spans(*[((500, 500) if i == number else p) for i, (_, p) in enumerate(page)])
        chart = SpanChart(gone, left, 181, each, none_row=True)
        without = drawn(chart, views, width, height, ascii_only=ascii_only)
        first, wide = chart.column(number)
        for before, after in zip(whole, without, strict=True):
            assert before[:first] == after[:first]
            assert before[first + wide :] == after[first + wide :]
