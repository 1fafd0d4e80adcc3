"""Answers as lines: the place in the passage, wrapping, and what is hostile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.messages import Answer, Candidate
from tui.cli.answer_lines import AROUND, answer_lines, excerpt, json_line

PASSAGE = (
    "When it is cold outside for long, and the feet get wet, people should warm the feet slowly, and never by a fire"
)


def given_answer(text: str, passage: str = PASSAGE) -> Answer:
    start = passage.index(text)
    best = Candidate(text, start, start + len(text), 1.0, 1.0, 2.0, 0.9)
    null = Candidate("", -1, -1, 0.0, 0.0, 0.0, 0.1)
    return Answer(
        text=text, char_start=start, char_end=start + len(text), probability=0.9, score=2.0, null_odds=-2.0,
        n_best=(best, null),
    )  # fmt: skip


def test_the_place_in_the_passage_begins_and_ends_with_words() -> None:
    start = PASSAGE.index("warm")
    assert excerpt(PASSAGE, start, start + 4) == (
        "… cold outside for long, and the feet get wet, people should [[warm]] the feet slowly, and never by a fire"
    )
    unspaced = "字" * 300
    assert excerpt(unspaced, 100, 110) == f"… {'字' * AROUND}[[{'字' * 10}]]{'字' * AROUND} …"


def test_lines_are_wrapped_between_words_under_their_values() -> None:
    lines = list(answer_lines("What?", PASSAGE, given_answer("warm the feet slowly"), 3, width=60))
    assert lines == [
        "question     What?",
        "answer       warm the feet slowly",
        "probability  90.0 %",
        "place        characters 70 to 90 of 111",
        "             … cold outside for long, and the feet get wet,",
        "             people should [[warm the feet slowly]], and",
        "             never by a fire",
        "null odds    -2.00",
        "n best       90.0 %  warm the feet slowly",
        "             10.0 %  (no answer)",
    ]
    assert all(len(line) <= 60 for line in lines)


@given(st.text(min_size=1), st.integers(0, 30), st.integers(1, 30), st.integers(1, 200))
def test_no_text_breaks_out(passage: str, start: int, length: int, width: int) -> None:
    start = min(start, len(passage) - 1)
    end = min(start + length, len(passage))
    text = passage[start:end]
    answer = Answer(text=text, char_start=start, char_end=end, probability=0.5, score=float("nan"), null_odds=None)
    for line in answer_lines(passage, passage, answer, 3, width=width):
        assert not set(line) & {"\n", "\r", "\x1b", "\x07", "\x9b", "\u202e"}
    assert json_line(passage, answer, "", 3).isascii()
    assert '"score": null' in json_line(passage, answer, "", 3)
