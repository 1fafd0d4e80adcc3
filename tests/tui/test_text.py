"""Nothing from outside reaches the terminal as anything but visible characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.drawing.text import LIMIT, plain, show, show_line

BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
anything = st.text(st.characters(exclude_categories=()), max_size=200)  # every code point, lone surrogates too
rough = st.text(st.sampled_from("a\x1b]0;[/b]\x07\x9b\x00\n\t\u202e\u2066\u200b\ufeff\ud800\x7f\x85[@click=app.exit]"))


def harmless(text: str, *, lines: bool) -> bool:
    """Whether no character of `text` does anything but stand there."""
    allowed = {"\n", "\t"} if lines else set()
    return all(
        char in allowed or (unicodedata.category(char) not in {"Cc", "Cs"} and char not in BIDI) for char in text
    )


@given(anything | rough)
def test_what_is_shown_only_stands_there(text: str) -> None:
    assert harmless(show(text).plain, lines=True)
    assert harmless(show_line(text).plain, lines=False)
    assert harmless(plain(text), lines=False)
    show(text).plain.encode("utf-8")


@given(anything)
def test_no_character_is_lost_or_moved(text: str) -> None:
    """Offsets into the text stay good: the passage is marked by character."""
    assert len(show(text).plain) == len(plain(text)) == len(text)
    for before, after in zip(text, show(text).plain, strict=True):
        assert before == after or not harmless(before, lines=True) or after == "\ufffd"


@given(st.text(), st.integers(0, 30))
def test_the_length_is_bounded(text: str, limit: int) -> None:
    assert len(plain(text, limit)) <= max(1, limit)
    assert len(plain(text, limit)) == len(text) or plain(text, limit).endswith("…")


def test_a_very_long_text_is_cut() -> None:
    assert len(show("x" * (LIMIT + 1)).plain) == LIMIT


@pytest.mark.parametrize("text", ["[/b]", "[red]x[/red]", "[@click=app.exit]x[/]", "\\[b]", "a[b]c"])
def test_markup_is_text(text: str) -> None:
    assert show(text).plain == text
    assert not show(text).spans


def test_escape_sequences_become_pictures() -> None:
    assert plain("\x1b]0;title\x07") == "␛]0;title␇"
    assert plain("\x9b31m") == "\ufffd31m"
    assert plain("a\nb\tc") == "a b c"
    assert show("a\nb\tc").plain == "a\nb\tc"


@pytest.mark.parametrize("text", ["e\u0301", "\u0928\u0940", "👩\u200d🔬", "\u0645\u06cc\u200c\u062e", "שלום", "漢字"])
def test_what_scripts_need_stays(text: str) -> None:
    assert show(text).plain == text
