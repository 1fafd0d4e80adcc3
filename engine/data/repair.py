"""Puts an answer where its text stands: exact as labelled, or moved to the nearest match with the cause named."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator

from msgspec import Struct

EXACT = ""
EDGE_SPACE = "white space at the answer's edges"
UTF16 = "the offset counts UTF-16 units, not characters"
UTF8 = "the offset counts UTF-8 bytes, not characters"
LINE_ENDS = "line ends were changed after labelling"
UNICODE_FORM = "the answer and the passage are in different Unicode forms (NFC, NFD)"
MISPLACED = "the offset is wrong"
NO_OFFSET = "no offset was given"


class Alignment(Struct, frozen=True, gc=False):
    """Where an answer stands: `text` == context[start : start + len(text)], without white space at its edges.

    `cause` is empty where nothing was changed; `places` counts the text's places in the passage where the
    choice among several had to be made (else 1).
    """

    text: str
    start: int
    cause: str = EXACT
    places: int = 1


def align(context: str, text: str, start: int | None) -> Alignment | None:
    """The answer `text`, labelled at `start` (None: nowhere), as it stands in `context`; None if nowhere.

    An exact label stays, but for white space at its edges. Else the offset is tried as UTF-16 units, as
    UTF-8 bytes and as counted before line ends were changed; else the nearest exact match is taken.
    """
    bare = text.strip()
    if not bare:
        return None
    if start is not None and 0 <= start <= len(context) and context.startswith(text, start):
        if len(bare) == len(text):
            return Alignment(text, start)
        return Alignment(bare, start + len(text) - len(text.lstrip()), EDGE_SPACE)
    if start is not None and start >= 0:
        for cause, place in _recounted(context, start):
            for variant in _line_end_variants(text):
                if context.startswith(variant, place):
                    return _moved(context, variant, place, cause)
    for variant, cause in _variants(text, bare):
        nearest = _nearest(context, variant, start or 0)
        if nearest is not None:
            if start is None:
                cause = NO_OFFSET
            elif cause == MISPLACED and _only_space_between(context, nearest, start):
                cause = EDGE_SPACE
            return _moved(context, variant, nearest, cause)
    return None


def _moved(context: str, text: str, start: int, cause: str) -> Alignment:
    bare = text.strip()
    start += len(text) - len(text.lstrip())
    return Alignment(bare, start, cause, max(1, context.count(bare)))


def _recounted(context: str, start: int) -> Iterator[tuple[str, int]]:
    """The code point that `start` means under each other way of counting, where it differs."""
    if not context.isascii():
        limit = min(start, len(context))  # no code point takes less than one unit, so none lies further
        head = context[:limit]
        if (
            place := len(head.encode("utf-16-le", "surrogatepass")[: 2 * start].decode("utf-16-le", "ignore"))
        ) != start:
            yield UTF16, place
        if (place := len(head.encode("utf-8", "surrogatepass")[:start].decode("utf-8", "ignore"))) != start:
            yield UTF8, place
    breaks = [i for i, char in enumerate(context) if char == "\n"]
    if breaks:
        pairs = sum(context[i - 1] == "\r" for i in breaks if i)
        if pairs == 0:  # counted with two characters a line end, which now has one
            place = start - bisect_left([b + k + 1 for k, b in enumerate(breaks)], start)
        else:  # counted with one character a line end, which now has two
            ends = [b for b in breaks if b and context[b - 1] == "\r"]
            place = start + bisect_left([b - k - 1 for k, b in enumerate(ends)], start)
        if place != start:
            yield LINE_ENDS, place


def _line_end_variants(text: str) -> Iterator[str]:
    yield text
    if "\r\n" in text:
        yield text.replace("\r\n", "\n")
    elif "\n" in text:
        yield text.replace("\n", "\r\n")


def _variants(text: str, bare: str) -> Iterator[tuple[str, str]]:
    """Forms of the answer to look for, best first, with the cause that each would show."""
    yield text, MISPLACED
    if bare != text:
        yield bare, EDGE_SPACE
    for variant in list(_line_end_variants(bare))[1:]:
        yield variant, LINE_ENDS
    for form in ("NFC", "NFD"):
        variant = unicodedata.normalize(form, bare)
        if variant != bare:
            yield variant, UNICODE_FORM


def _nearest(context: str, text: str, start: int) -> int | None:
    start = min(max(start, 0), len(context))
    after = context.find(text, start)
    before = context.rfind(text, 0, start + len(text) - 1)
    if after < 0 or before < 0:
        return max(after, before) if max(after, before) >= 0 else None
    return after if after - start <= start - before else before


def _only_space_between(context: str, place: int, start: int) -> bool:
    low, high = min(place, start), max(place, start)
    return high - low <= 16 and low >= 0 and high <= len(context) and context[low:high].isspace()
