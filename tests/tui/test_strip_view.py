"""Only what differs is sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.strip import Strip

from tests.fake_app import RecordingDriver
from tui.terminal.updates import ExactApp
from tui.widgets.strip_view import StripView, changed_stretches, merge_blanks

STYLES = [None, Style(bold=True), Style(dim=True), Style(reverse=True)]
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
def test_the_stretches_hold_every_cell_that_differs(head: Parts, one: Parts, other: Parts, width: int) -> None:
    before, after = strip_of(head + one, width), strip_of(head + other, width)
    old, new = seen(before), seen(after)
    at, patched = 0, []
    for lo, hi in changed_stretches(before, after):
        assert at <= lo < hi <= width
        assert old[at:lo] == new[at:lo]
        patched += [before.crop(at, lo), after.crop(lo, hi)]
        at = hi
    assert old[at:] == new[at:]
    assert seen(Strip.join([*patched, before.crop(at, width)])) == seen(after)


@given(segments, st.integers(1, 40))
def test_a_lean_line_looks_the_same(parts: Parts, width: int) -> None:
    line = strip_of(parts, width)
    assert merge_blanks(line).cell_length == line.cell_length
    assert seen(merge_blanks(line)) == seen(line)
    assert changed_stretches(line, merge_blanks(line)) == []


def seen(strip: Strip) -> list[tuple[str, Style]]:
    """Cells as a person sees them: on a blank, neither bold nor dim."""
    return [(char, Style.null() if char == " " and not style.reverse else style) for char, style in cells(strip)]


def test_equal_lines_have_no_stretch() -> None:
    line = strip_of([("abc", None), ("d", STYLES[1])], 9)
    assert changed_stretches(line, strip_of([("a", None), ("bc", None), ("d", STYLES[1])], 9)) == []


def test_what_lies_far_apart_is_sent_apart() -> None:
    before = strip_of([("step 1200 of 9000, and then the", None), ("end", STYLES[1])], 40)
    after = strip_of([("step 1300 of 9000, and then the", None), ("end", STYLES[2])], 40)
    assert changed_stretches(before, after) == [(6, 7), (31, 34)]
    near = strip_of([("step 1300 of 9100, and then the", None), ("end", STYLES[1])], 40)
    assert changed_stretches(before, near) == [(6, 15)]


class Lines(StripView):
    """Shows a list of lines."""

    DEFAULT_CSS = "Lines { width: 1fr; height: 3; }"
    lines: Sequence[Strip] = ()

    def build(self, width: int, height: int) -> Sequence[Strip]:
        return self.lines


class LinesApp(ExactApp):
    def compose(self) -> ComposeResult:
        yield Lines()


async def test_only_the_changed_cells_go_to_the_terminal() -> None:
    app: Any = LinesApp()
    with patch("textual.drivers.headless_driver.HeadlessDriver", RecordingDriver):
        async with app.run_test(size=(60, 3)) as pilot:
            widget = app.query_one(Lines)
            widget.lines = [
                strip_of([("left " * 4, None), ("answer one", None)], 60),
                strip_of([("漢字" * 9, None)], 60),
            ]
            widget.redraw()
            await pilot.pause()
            before = len(app._driver.sent)
            widget.lines = [
                strip_of([("left " * 4, None), ("answer two", None)], 60),
                strip_of([("漢字" * 9, None)], 60),
            ]
            widget.redraw()
            await pilot.pause()
            sent = "".join(app._driver.sent[before:])
    drawn = re.findall("\x1b\\[(\\d+);(\\d+)H([^\x1b]+)", sent)
    assert drawn == [("1", "28", "two")]
