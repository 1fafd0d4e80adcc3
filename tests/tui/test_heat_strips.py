"""The heat map as text."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style

from tui.drawing.frame import ASCII, UNICODE
from tui.drawing.heat_map import HeatMap, share_columns
from tui.drawing.heat_strips import HEAT_GLYPHS, LABEL, VERDICT, legend_strip, map_strips, share_rows


def plain(role: str) -> Style:
    return Style.null()


def test_a_journey_in_one_picture() -> None:
    probability = np.array([[0.1, 0.3, 0.25, 0.0], [0.0, 0.02, 0.9, 0.06], [0, 0, 1, 0]], np.float32)
    heat = HeatMap(probability, expected=2, predicted=np.array([1, 2, 2], np.int32))
    strips = map_strips(
        "start",
        heat,
        ["untrained", "epoch 1", "epoch 2"],
        share_columns(4, 12),
        current=1,
        token=0,
        width=34,
        height=6,
        style=plain,
    )
    assert [strip.text.rstrip() for strip in strips] == [
        "             start of the answer",
        "  untrained │▒▒▒▓▓▓▓▓▓    ✗",
        "›   epoch 1 │┊┊┊░░░███▒▒▒ ✓",
        "    epoch 2 │┊┊┊   ███    ✓",
        "             ┃┃┃   ▲▲▲",
        "",
    ]


def test_few_snapshots_get_taller_rows_and_notes() -> None:
    heat = HeatMap(np.full((2, 2), 0.5, np.float32), 0, np.array([0, 1], np.int32))
    strips = map_strips(
        "end",
        heat,
        ["untrained", "epoch 1"],
        share_columns(2, 4),
        current=0,
        token=-1,
        width=32,
        height=6,
        style=plain,
        notes=["balm", "ice"],
    )
    assert [strip.text.rstrip() for strip in strips] == [
        "             end of the answer",
        "› untrained │████ ✓ balm",
        "            │████",
        "    epoch 1 │████ ✗ ice",
        "            │████",
        "             ▲▲",
    ]


def test_the_legend_says_it_in_words() -> None:
    text = legend_strip(100, plain).text
    assert "probability from ░ 1 %  ▒ 5 %  ▓ 20 %  █ 50 %" in text
    assert "expected" in text
    assert legend_strip(100, plain, ASCII).text.isascii()


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 512), st.integers(20, 300), st.integers(1, 60), st.integers(3, 40), st.booleans(), st.data())
def test_the_marker_stands_on_the_columns_of_its_token(
    tokens: int, width: int, snapshots: int, height: int, ascii_only: bool, data: st.DataObject
) -> None:
    expected = data.draw(st.integers(0, tokens - 1))
    glyphs = ASCII if ascii_only else UNICODE
    columns = share_columns(tokens, width - LABEL - VERDICT)
    probability = np.zeros((snapshots, tokens), np.float32)
    probability[:, expected] = 1.0
    heat = HeatMap(probability, expected, np.full(snapshots, expected, np.int32))
    strips = map_strips(
        "start",
        heat,
        [f"epoch {i}" for i in range(snapshots)],
        columns,
        current=0,
        token=-1,
        width=width,
        height=height,
        style=plain,
        glyphs=glyphs,
    )
    lines = [strip.text for strip in strips]
    assert len(lines) == height
    assert {strip.cell_length for strip in strips} == {width}
    rows, tall = share_rows(0, snapshots, height)
    assert len(rows) == min(snapshots, height - 2)
    shown = len(rows) * tall
    floor = lines[1 + shown]
    marked = {place for place, glyph in enumerate(floor) if glyph == glyphs.expected}
    assert marked == {LABEL + column for column in columns.of(expected)}
    for number, line in enumerate(lines[1 : 1 + shown]):
        darkest = HEAT_GLYPHS[glyphs].shades[4]
        full = {place for place, glyph in enumerate(line[: LABEL + columns.count]) if glyph == darkest}
        assert full == marked
        assert line.rstrip().endswith(glyphs.right) == (number % tall == 0)
