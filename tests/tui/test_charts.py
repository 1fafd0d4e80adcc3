"""The token chart: exact columns at every width, bars, markers, labels, and what it looks like."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style
from textual.strip import Strip

from tui.drawing.frame import ASCII, UNICODE, Glyphs
from tui.drawing.token_bars import GUTTER, TokenChart
from tui.drawing.token_geometry import WIDEST_BAR, Geometry, fit
from tui.drawing.token_strips import token_strips

STYLES: dict[str, Style] = {}


def style(role: str) -> Style:
    """A style of its own for every role, so that a cell's role can be read from the strips."""
    return STYLES.setdefault(role, Style(meta={"role": role}))


def roles(strip: Strip) -> list[str]:
    """The role of every cell of a line."""
    found: list[str] = []
    for text, segment_style, _ in strip:
        role = segment_style.meta.get("role", "") if segment_style is not None else ""
        found += [role] * len(text)
    return found


def chart(values: list[float], **changes: object) -> TokenChart:
    fields: dict[str, object] = {
        "title": "START",
        "values": np.asarray(values, np.float32),
        "low": min(0.0, *values),
        "high": max(1e-6, *values),
        "role": "start",
        "expected_role": "expected_start",
    }
    return TokenChart(**(fields | changes))  # type: ignore[arg-type]  # fields by name, as keywords


def canvas(strips: list[Strip]) -> list[str]:
    """The cells between title and marks, top row first, without the gutter."""
    return [strip.text[GUTTER:] for strip in strips[1:-1]]


tokens_widths = st.tuples(st.integers(2, 512), st.integers(20, 300))


@settings(max_examples=120, deadline=None)
@given(tokens_widths, st.data(), st.booleans(), st.sampled_from([UNICODE, ASCII]))
def test_the_marker_stands_on_its_tokens_columns_and_on_no_other(
    sizes: tuple[int, int], data: st.DataObject, overview: bool, glyphs: Glyphs
) -> None:
    tokens, width = sizes
    expected = data.draw(st.integers(0, tokens - 1))
    first = data.draw(st.none() | st.integers(0, tokens - 1))
    in_view = data.draw(st.sampled_from([(), (expected,)]))
    geometry = fit(tokens, width - GUTTER, in_view=in_view, first=first, overview=overview)
    seen = geometry.columns_of(expected)
    # The expected token alone has a bar, half as high as the canvas; then all others have one and it has none.
    alone = np.zeros(tokens, np.float32)
    alone[expected] = 1.0
    strips = token_strips(
        chart(alone.tolist(), expected=expected, low=0.0, high=2.0), geometry, height=6, style=style, glyphs=glyphs
    )
    assert all(strip.cell_length == GUTTER + geometry.columns for strip in strips)
    column_set = set(seen)
    for row, strip in enumerate(strips[1:-1]):
        cells = roles(strip)[GUTTER:]
        bars = {x for x, role in enumerate(cells) if role == "start"}
        markers = {x for x, role in enumerate(cells) if role == "expected_start"}
        assert bars == (column_set if row >= 2 else set())
        assert markers == (column_set if row < 2 else set())
    others = 1.0 - alone
    strips = token_strips(
        chart(others.tolist(), expected=expected, low=0.0, high=1.0), geometry, height=5, style=style, glyphs=glyphs
    )
    drawn = {x for token in range(tokens) if token != expected for x in geometry.columns_of(token)}
    for strip in strips[1:-1]:
        cells = roles(strip)[GUTTER:]
        assert {x for x, role in enumerate(cells) if role == "start"} == drawn
        assert {x for x, role in enumerate(cells) if role == "expected_start"} == column_set - drawn
    # The line under the axis names the same columns (its last cell may say that there is more).
    under = {x for x, role in enumerate(roles(strips[-1])[GUTTER:]) if role == "expected_start"}
    assert under | {geometry.columns - 1} == column_set | {geometry.columns - 1}


@settings(max_examples=300, deadline=None)
@given(tokens_widths, st.data(), st.booleans())
def test_columns_and_tokens_agree(sizes: tuple[int, int], data: st.DataObject, overview: bool) -> None:
    tokens, columns = sizes
    first = data.draw(st.none() | st.integers(0, tokens - 1))
    wanted = tuple(data.draw(st.lists(st.integers(0, tokens - 1), max_size=3)))
    geometry = fit(tokens, columns, in_view=wanted, first=first, overview=overview)
    owned = [geometry.columns_of(token) for token in range(tokens)]
    if geometry.overview:
        assert [token for x in range(columns) for token in geometry.tokens_of(x)] == list(range(tokens))
        assert all(token in geometry.tokens_of(owned[token][0]) for token in range(tokens))
    else:
        visible = [token for token in range(tokens) if owned[token]]
        assert visible == list(range(geometry.first, geometry.last))
        assert {len(owned[token]) for token in visible} == {geometry.each}
        assert [x for token in visible for x in owned[token]] == list(range(len(visible) * geometry.each))
        for x in range(columns):
            assert list(geometry.tokens_of(x)) == [token for token in visible if x in owned[token]]
        if wanted:
            assert owned[wanted[0]]
        if wanted and max(wanted) - min(wanted) < columns:
            assert all(owned[token] for token in wanted)


def test_no_token_and_no_column_do_no_harm() -> None:
    assert fit(0, 20).tokens_of(3) == range(0)
    assert fit(5, 0).columns == 1
    assert len(token_strips(chart([1.0]), fit(1, 1), height=3, style=style)) == 3


def test_bars_widen_as_far_as_there_is_room() -> None:
    assert fit(10, 20).each == 2
    assert fit(10, 39).each == 3
    assert fit(3, 300).each == WIDEST_BAR
    assert fit(21, 20).each == 1


def test_a_long_window_is_a_stretch_with_what_matters_in_view() -> None:
    geometry = fit(384, 70, in_view=(300, 320))
    assert geometry.first <= 300
    assert geometry.last > 320
    assert fit(384, 70, in_view=(300, 20)).columns_of(300)
    assert fit(384, 70, first=100, in_view=(120,)).first == 100
    assert fit(384, 70, first=999).last == 384


def test_an_overview_column_keeps_the_largest_of_its_tokens() -> None:
    geometry = fit(6, 3, overview=True)
    assert geometry.highest(np.asarray([1, 5, 2, 2, -3, -1], np.float32)).tolist() == [5, 2, -1]
    strips = token_strips(chart([1, 5, 2, 2, 0, 1], high=5.0, expected=0), geometry, height=7, style=style)
    assert canvas(strips)[0] == "█  "  # the expected token's column is full with its neighbour's bar
    assert strips[-1].text[GUTTER:] == "▲──"


def test_the_chart_as_text() -> None:
    strips = token_strips(
        chart([0.0, 1.0, 2.0, 8.0, 0.5, 4.0], expected=2, predicted=3, cursor=5, high=8.0), fit(6, 12), 6, style
    )
    assert [strip.text.rstrip() for strip in strips] == [
        "        START",
        "     8 ┤    ┃┃██",
        "       │    ┃┃██",
        "       │    ┃┃██  ██",
        "     0 ┤  ▄▄████▂▂██",
        "       └────▲▲▼▼──↑↑",
    ]


def test_negative_bars_hang_from_zero() -> None:
    strips = token_strips(chart([-4.0, 4.0, -1.0, -2.0], low=-4.0, high=4.0, expected=2), fit(4, 8), 6, style)
    assert [strip.text for strip in strips][1:] == [
        "     4 ┤  ██┃┃  ",
        "     0 ┤──██┃┃──",
        "       │██  ▀▀██",
        "    -4 ┤██  ┃┃  ",
        "       └────▲▲──",
    ]


def test_expected_and_predicted_on_one_token() -> None:
    strips = token_strips(chart([1.0, 2.0], expected=1, predicted=1), fit(2, 4), 4, style)
    assert strips[-1].text[GUTTER:] == "──◆◆"


def test_ascii_uses_ascii_alone() -> None:
    for values in ([0.2, 3.0, -2.0, 1.4], [0.1, 0.2, 0.9, 1.0]):
        drawn = chart(values, expected=1, predicted=3, cursor=0, before=np.asarray(values[::-1], np.float32))
        for geometry in (fit(4, 8), fit(4, 2, first=1), fit(4, 3, overview=True)):
            assert all(strip.text.isascii() for strip in token_strips(drawn, geometry, 8, style, ASCII))


def test_the_change_since_the_snapshot_before() -> None:
    drawn = chart([4.0, 1.0, 2.0], low=0.0, high=4.0, before=np.asarray([1.0, 4.0, 2.0], np.float32))
    assert canvas(token_strips(drawn, fit(3, 3), 6, style)) == ["▓░ ", "▓░ ", "▓░█", "███"]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["     1 ┤", "  0.50 ┤", "     0 ┤"]),
        (0.0, 123.4, ["   123 ┤", "    62 ┤", "     0 ┤"]),
        (-11.5, 7.25, ["  7.25 ┤", "     0 ┤", "   -12 ┤"]),
    ],
)
def test_labels_are_ours_and_of_one_width(low: float, high: float, labels: list[str]) -> None:
    strips = token_strips(chart([0.0, 0.5], low=low, high=high), fit(2, 20), 9, style)
    gutters = [strip.text[:GUTTER] for strip in strips[1:-1]]
    assert [text for text in gutters if text.strip(" │")] == labels
    assert {len(text) for text in gutters} == {GUTTER}


def test_scores_that_are_no_numbers_leave_gaps() -> None:
    values = [float("nan"), 1.0, float("-inf"), float("inf")]
    strips = token_strips(chart(values, low=0.0, high=1.0), fit(4, 4), 4, style)
    assert canvas(strips) == [" █  ", " █  "]


def test_more_tokens_on_either_side_are_told() -> None:
    strips = token_strips(chart([1.0] * 40), fit(40, 20, first=10), 4, style)
    assert strips[-1].text == "      ‹└───────────────────›"
    wide = token_strips(chart([1.0] * 140), fit(140, 100, first=10), 4, style)
    assert "tokens 10-109 of 140" in wide[0].text
    assert "all 140 tokens" in token_strips(chart([1.0] * 140), fit(140, 100, overview=True), 4, style)[0].text


def test_geometry_is_a_value() -> None:
    lookup: Callable[[Geometry], int] = {fit(4, 9): 1}.__getitem__
    assert lookup(fit(4, 9)) == 1
