"""Weights of tokens as weights of words."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.segments import CONTEXT, QUESTION, SPECIAL
from engine.insight.attribution import Word, heaviest, words


def test_word_pieces_are_one_word_and_signs_are_their_own() -> None:
    question, context = "Who?", "Chilblains (1912)."
    tokens = [
        (SPECIAL, 0, 0, 9.0),
        (QUESTION, 0, 3, 1.0),
        (QUESTION, 3, 4, 0.0),
        (SPECIAL, 0, 0, 9.0),
        (CONTEXT, 0, 5, 2.0),
        (CONTEXT, 5, 10, -0.5),
        (CONTEXT, 11, 12, 0.0),
        (CONTEXT, 12, 14, 0.25),
        (CONTEXT, 14, 16, 0.25),
        (CONTEXT, 16, 17, 0.0),
        (CONTEXT, 17, 18, -1.0),
        (SPECIAL, 0, 0, 9.0),
    ]
    found = words(question, context, *(list(column) for column in zip(*tokens, strict=True)))
    assert [(word.text, word.first, word.last) for word in found] == [
        ("Who", 1, 1),
        ("?", 2, 2),
        ("Chilblains", 4, 5),
        ("(", 6, 6),
        ("1912", 7, 8),
        (")", 9, 9),
        (".", 10, 10),
    ]
    assert [word.share for word in found] == pytest.approx([0.2, 0, 0.3, 0, 0.1, 0, -0.2])
    assert [word.text for word in heaviest(found, 3)] == ["Chilblains", "Who", "."]
    assert found[2].holds([5, 90])
    assert not found[2].holds([6])


def test_scripts_without_spaces_keep_their_tokens_apart() -> None:
    found = words("", "北京大学", [CONTEXT] * 4, [0, 1, 2, 3], [1, 2, 3, 4], [1.0, 1.0, 1.0, 1.0])
    assert [word.text for word in found] == ["北", "京", "大", "学"]


def test_several_tokens_of_one_character_are_one_word() -> None:
    found = words("", "a👍 b", [CONTEXT] * 4, [0, 1, 1, 3], [1, 2, 2, 4], [1.0, 1.0, 1.0, 1.0])
    assert [(word.text, word.share) for word in found] == [("a", 0.25), ("👍", 0.5), ("b", 0.25)]


def test_no_weight_at_all() -> None:
    assert words("", "ab", [CONTEXT], [0], [2], [0.0]) == [Word("ab", CONTEXT, 0, 0, 0, 2, 0.0)]


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab1. ,é京"), max_size=40), st.data())
def test_words_hold_every_token_once_and_all_the_weight(context: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(context)), max_size=12)) | {0, len(context)})
    pairs = list(pairwise(cuts))
    weights = data.draw(st.lists(st.integers(-5, 5), min_size=len(pairs), max_size=len(pairs)))
    found = words("", context, [CONTEXT] * len(pairs), [a for a, _ in pairs], [b for _, b in pairs], weights)
    held = [token for word in found for token in range(word.first, word.last + 1)]
    assert held == list(range(len(pairs)))
    assert all(word.text == context[word.char_start : word.char_end] for word in found)
    total = sum(map(abs, weights))
    assert sum(word.share for word in found) == pytest.approx(sum(weights) / total if total else 0)
