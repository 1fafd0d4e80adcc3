"""Puts an answer where its text stands: exact as labelled, or moved to the nearest match with the cause named."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Iterator
from functools import lru_cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.data.characters import without_edges

EXACT = ""
EDGE_SPACE = "white space at the answer's edges"
EDGE_UNSEEN = "invisible characters at the answer's edges"
UTF16 = "the offset counts UTF-16 units, not characters"
UTF8 = "the offset counts UTF-8 bytes, not characters"
LINE_ENDS = "line ends were changed after labelling"
UNICODE_FORM = "the answer and the passage are in different Unicode forms (NFC, NFD)"
MISPLACED = "the offset is wrong"
NO_OFFSET = "no offset was given"
UNITS = (UTF16, UTF8)
MOST_SPACE = 16
"""So many blank characters at most lie between a label's offset and its answer, where it began in white space."""
MANY = 100
"""Places of a text in a passage are counted up to here."""


class Alignment(Struct, frozen=True, gc=False):
    """Where an answer stands: `text` == context[start : start + len(text)], without white space at its edges.

    `cause` is empty where nothing was changed; `places` counts the text's places in the passage (up to
    MANY) where one had to be chosen; 1 for an exact label.
    """

    text: str
    start: int
    cause: str = EXACT
    places: int = 1

    @property
    def recounted(self) -> bool:
        """The offset was right, but counted in another way."""
        return self.cause in (UTF16, UTF8, LINE_ENDS)


def align(context: str, text: str, start: int | None, units: Collection[str] = UNITS) -> Alignment | None:
    """The answer `text`, labelled at `start` (None: nowhere), as it stands in `context`; None if nowhere.

    An exact label stays, but for white space and invisible characters at its edges. Else the offset is tried as counted
    in UTF-16 units, before line ends were changed, from the white space before the answer, and in UTF-8 bytes (of these
    `units` are allowed); else the nearest exact match is taken.
    """
    bare = without_edges(text)
    if not bare:
        return None
    edges = EDGE_SPACE if bare == text.strip() else EDGE_UNSEEN
    if start is not None and 0 <= start <= len(context) and context.startswith(text, start):
        if len(bare) == len(text):
            return Alignment(text, start)
        return Alignment(bare, start + text.index(bare), edges)
    if start is not None and start >= 0:
        for cause, place in _recounted(context, start, bare):
            if cause in UNITS and cause not in units:
                continue
            for variant in _line_end_variants(bare if cause == EDGE_SPACE else text):
                if context.startswith(variant, place):
                    return _moved(context, variant, place, cause)
    for variant, cause in _variants(text, bare, edges):
        nearest = _nearest(context, variant, start or 0)
        if nearest is not None:
            return _moved(context, variant, nearest, NO_OFFSET if start is None else cause)
    return None


def exact_in(context: str, start: int) -> list[str]:
    """The units for which another number than `start` would name the same character."""
    if context.isascii():
        return []
    return [unit for unit, starts in zip(UNITS, _unit_starts(context), strict=True) if starts[start] != start]


def _moved(context: str, text: str, start: int, cause: str) -> Alignment:
    bare = without_edges(text)
    start += text.index(bare)
    return Alignment(bare, start, cause, _places(context, bare))


def _places(context: str, text: str) -> int:
    """In how many places the text stands; MANY for that many or more."""
    count, place = 0, -1
    while count < MANY and (place := context.find(text, place + 1)) >= 0:
        count += 1
    return count


def _recounted(context: str, start: int, bare: str) -> Iterator[tuple[str, int]]:
    """The code point that `start` means under each other way of counting, where it differs; plain ways first."""
    utf16, utf8 = (start, start) if context.isascii() else (_place(s, start) for s in _unit_starts(context))
    if utf16 != start:
        yield UTF16, utf16
    ends, grown = _line_ends(context)
    if ends:
        passed = bisect_left(ends, start)
        place = start + passed if grown else start - passed
        if place != start:
            yield LINE_ENDS, place
    place = start
    while place < min(start + MOST_SPACE, len(context)) and not without_edges(context[place]):
        place += 1
    if place != start:
        yield EDGE_SPACE, place
    if utf8 != start:
        yield UTF8, utf8


def _place(starts: NDArray[np.int64], start: int) -> int:
    """The character that begins at `start` units; `start` itself where none does."""
    place = int(np.searchsorted(starts, start)) if start <= starts[-1] else -1
    return place if place >= 0 and starts[place] == start else start


@lru_cache(maxsize=4)
def _unit_starts(context: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each character, and last the end, begins in UTF-16 units and in UTF-8 bytes."""
    codes = np.frombuffer(context.encode("utf-32-le"), dtype=np.uint32)
    wide = codes > 0xFFFF
    sizes = (1 + wide, 1 + (codes > 0x7F) + (codes > 0x7FF) + wide)
    utf16, utf8 = (np.concatenate(([0], np.cumsum(size, dtype=np.int64))) for size in sizes)
    return utf16, utf8


@lru_cache(maxsize=4)
def _line_ends(context: str) -> tuple[list[int], bool]:
    """Where the line ends stood before they were changed; whether they grew (from LF to the CR LF of now)."""
    breaks = [found.start() for found in re.finditer("\n", context)]
    pairs = [b for b in breaks if b and context[b - 1] == "\r"]
    if pairs:
        return [b - k - 1 for k, b in enumerate(pairs)], True
    return [b + k + 1 for k, b in enumerate(breaks)], False


def _line_end_variants(text: str) -> Iterator[str]:
    yield text
    if "\r\n" in text:
        yield text.replace("\r\n", "\n")
    elif "\n" in text:
        yield text.replace("\n", "\r\n")


def _variants(text: str, bare: str, edges: str) -> Iterator[tuple[str, str]]:
    """Forms of the answer to look for, best first, with the cause that each would show."""
    yield text, MISPLACED
    if bare != text:
        yield bare, edges
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
