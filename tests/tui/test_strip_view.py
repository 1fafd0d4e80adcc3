"""Only what differs is sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.widgets.strip_view import changed_stretch

STYLES = [None, Style(bold=True), Style(dim=True)]
segments = st.lists(st.tuples(st.text("ab█漢é ", max_size=6), st.sampled_from(STYLES)), max_size=6)
Parts = list[tuple[str, Style | None]]


def strip_of(parts: Parts, width: int) -> Strip:
    return Strip([Segment(text, style) for text, style in parts]).adjust_cell_length(width)


def cells(strip: Strip) -> list[tuple[str, Style]]:
    """Each cell's character ('' behind a wide one) and style; no style and the empty one look alike."""
    found: list[tuple[str, Style]] = []
    for segment in strip:
        for char in segment.text:
            size = Segment(char).cell_length
            found += [(char, segment.style or Style.null())] + [("", segment.style or Style.null())] * (size - 1)
    return found


@given(segments, segments, segments, st.integers(1, 40))
def test_the_stretch_holds_every_cell_that_differs(head: Parts, one: Parts, other: Parts, width: int) -> None:
    before, after = strip_of(head + one, width), strip_of(head + other, width)
    lo, hi = changed_stretch(before, after)
    assert 0 <= lo <= hi <= width
    old, new = cells(before), cells(after)
    assert old[:lo] == new[:lo]
    assert old[hi:] == new[hi:]
    patched = Strip.join([before.crop(0, lo), after.crop(lo, hi), before.crop(hi, width)])
    assert cells(patched) == new


def test_equal_lines_have_no_stretch() -> None:
    line = strip_of([("abc", None), ("d", STYLES[1])], 9)
    assert changed_stretch(line, strip_of([("abc", None), ("d", STYLES[1])], 9)) == (0, 0)


def test_a_changed_word_is_the_stretch() -> None:
    before = strip_of([("step 1200 of 9000", None), ("end", STYLES[1])], 30)
    after = strip_of([("step 1300 of 9000", None), ("end", STYLES[1])], 30)
    assert changed_stretch(before, after) == (6, 7)
