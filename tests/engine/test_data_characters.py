"""Kinds of characters agree with Unicode's tables."""

from __future__ import annotations

import unicodedata

import pytest

from engine.data.characters import KINDS, SPACE, UNSEEN, is_unspaced, without_edges

SHOWN = [*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0xFFF9, 0xFFFA, 0xFFFB]
"""Format characters that are shown: signs that enclose Arabic and Syriac numbers, and marks of annotations."""


def test_kinds_are_those_of_unicode() -> None:
    for code in range(0x10000):
        char = chr(code)
        unseen = unicodedata.category(char) in ("Cc", "Cf") and not char.isspace() and code not in SHOWN
        expected = SPACE if char.isspace() else UNSEEN if unseen or code == 0x2065 else 0  # U+2065 is reserved
        assert KINDS[code] == expected, hex(code)
    assert not any(chr(code).isspace() for code in range(0x10000, 0x110000))


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Paris", "Paris"),
        (" \u200fParis \ufeff\n", "Paris"),
        ("a\u200bb", "a\u200bb"),
        ("\u200f \x00", ""),
        ("caf\u0065\u0301 ", "caf\u0065\u0301"),
        ("\u3000寿司\u3000", "寿司"),
    ],
)
def test_edges(text: str, bare: str) -> None:
    assert without_edges(text) == bare


def test_scripts_without_spaces() -> None:
    assert all(map(is_unspaced, "中々ひらカﾊไทยລາວខ្មែမြန်𠀀"))
    assert not any(map(is_unspaced, "aé한국어हिन्दीעבר、。"))
