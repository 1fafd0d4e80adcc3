"""From weights of tokens to weights of words, for people: word pieces belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.data.characters import is_unspaced
from engine.data.segments import QUESTION, SPECIAL


@dataclass(frozen=True)
class Word:
    """A word of question or passage: its tokens `first` to `last`, its code points `char_start` up to `char_end` of the
    question or the passage, by `segment`, and its share of all weight, -1 to 1: negative where it speaks against the
    answer."""

    text: str
    segment: int
    first: int
    last: int
    char_start: int
    char_end: int
    share: float

    def holds(self, tokens: Sequence[int]) -> bool:
        """Whether any of the tokens is the word's."""
        return any(self.first <= token <= self.last for token in tokens)


def words(
    question: str,
    context: str,
    segment: Sequence[int],
    char_start: Sequence[int],
    char_end: Sequence[int],
    weights: Sequence[float],
) -> list[Word]:
    """The words of one window in the order of its tokens, from lists of n tokens as in Features.

    Tokens that touch belong to one word where letters or digits meet; in scripts without spaces every token is a word.
    A word's weight is the sum of its tokens'; specials have none.
    """
    total = sum(abs(weight) for weight, kind in zip(weights, segment, strict=True) if kind != SPECIAL) or 1.0
    found: list[Word] = []
    for token, (kind, low, high, weight) in enumerate(zip(segment, char_start, char_end, weights, strict=True)):
        if kind == SPECIAL:
            continue
        text = question if kind == QUESTION else context
        share = weight / total
        before = found[-1] if found else None
        if before is not None and before.segment == kind and before.last == token - 1 and _continues(text, before, low):
            found[-1] = Word(
                text[before.char_start : high], kind, before.first, token, before.char_start, high, before.share + share
            )
        else:
            found.append(Word(text[low:high], kind, token, token, low, high, share))
    return found


def heaviest(found: Sequence[Word], count: int) -> list[Word]:
    """The `count` words of largest share, either sign; the earlier of equals."""
    return sorted(found, key=lambda word: -abs(word.share))[:count]


def _continues(text: str, before: Word, low: int) -> bool:
    if low < before.char_end:
        return True  # several tokens of one character
    if low > before.char_end or not 0 < low < len(text):
        return False
    left, right = text[low - 1], text[low]
    return left.isalnum() and right.isalnum() and not (is_unspaced(left) or is_unspaced(right))
