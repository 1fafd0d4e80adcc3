"""The passage in lines, with the answers marked in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.drawing.frame import ASCII
from tui.drawing.passage import SIGNS, Line, Mark, passage_lines
from tui.drawing.text import plain

TEXT = (
    "Chilblains are small, itchy swellings that show up on toes and fingers some hours after they were out in the "
    "cold. The skin turns red or purple, feels hot, and may burn when one comes back into a heated room."
)
ROWS = 100


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def bare(lines: list[Line]) -> list[str]:
    """The lines without the brackets."""
    return ["".join(text for text, roles in line if "heading" not in roles) for line in lines]


def test_answers_stand_in_brackets() -> None:
    marks = [Mark(0, 10, "expected", "expected"), Mark(15, 27, "predicted", "predicted")]
    lines, begins = passage_lines(TEXT, 60, ROWS, marks)
    assert texts(lines)[0] == "▲[Chilblains] are ▼(small, itchy) swellings that show up on"
    assert begins == 0
    lines, _ = passage_lines(TEXT, 60, ROWS, [Mark(0, 10, "both", "both")], glyphs=ASCII)
    assert texts(lines)[0] == "*[Chilblains] are small, itchy swellings that show up on"


@given(st.integers(8 * SIGNS, 200), st.integers(0, len(TEXT) - 1), st.integers(1, 60), st.integers(0, len(TEXT) - 1))
def test_lines_break_where_they_did_while_answers_move(width: int, start: int, length: int, gold: int) -> None:
    marks = [Mark(gold, min(len(TEXT), gold + 9), "expected", "expected")]
    before, _ = passage_lines(TEXT, width, ROWS, marks)
    after, _ = passage_lines(TEXT, width, ROWS, [*marks, Mark(start, min(len(TEXT), start + length), "predicted", "x")])
    assert bare(before) == bare(after)


@given(st.text(max_size=300), st.integers(1, 120), st.data())
def test_no_line_is_too_wide_and_no_word_is_lost(text: str, width: int, data: st.DataObject) -> None:
    marks = []
    for kind in ("expected", "predicted"):
        start = data.draw(st.integers(0, len(text)))
        marks.append(Mark(start, data.draw(st.integers(start, len(text))), kind, kind))
    lines, _ = passage_lines(text, width, 10_000, marks)
    assert all(cell_len(line) <= max(2, width) for line in texts(lines))
    assert "".join(bare(lines)).replace(" ", "") == plain(text).replace(" ", "")


def test_a_wide_character_behind_a_full_line_begins_the_next() -> None:
    lines, _ = passage_lines(" 0000000⺀1", 8, 10, [])
    assert [text for text in texts(lines) if text] == ["0000000", "⺀1"]


@given(st.integers(20, 80), st.integers(1, 8), st.lists(st.integers(0, len(TEXT) - 2), min_size=2, max_size=6))
def test_the_answer_is_always_among_the_lines(width: int, rows: int, places: list[int]) -> None:
    first = None
    for start in places:
        lines, first = passage_lines(TEXT, width, rows, [Mark(start, start + 1, "both", "both")], first=first)
        assert len(lines) <= rows
        assert any("both" in roles for line in lines for _, roles in line)


def test_a_flip_does_not_scroll_while_the_answer_is_in_view() -> None:
    long = " ".join(f"word{number}" for number in range(400))

    def begin(word: str, first: int | None) -> int:
        mark = Mark(long.index(word), long.index(word) + len(word), "both", "both")
        return passage_lines(long, 40, 6, [mark], first=first)[1]

    begins = begin("word90", None)
    assert begin("word95", begins) == begins > 0
    assert begin("word95", None) != begins
    assert begin("word0", begins) == 0


def test_of_a_book_a_part_is_wrapped() -> None:
    book = "word " * 200_000
    lines, begins = passage_lines(book, 60, 10, [Mark(500_000, 500_004, "both", "both")])
    assert len(lines) == 10
    assert any("◆[word]" in text for text in texts(lines))
    assert 490_000 < begins <= 500_000


@given(st.integers(0, 999_990))
def test_where_both_do_not_fit_what_was_expected_stays_in_view(place: int) -> None:
    book = "word " * 200_000
    expected = Mark(500_000, 500_004, "expected", "expected")
    predicted = Mark(place, place + 4, "predicted", "predicted")
    _, begins = passage_lines(book, 60, 10, [expected])
    lines, still = passage_lines(book, 60, 10, [expected, predicted], first=begins)
    assert any("▲[word]" in text for text in texts(lines))
    assert still == begins or any("▼(" in text for text in texts(lines))
