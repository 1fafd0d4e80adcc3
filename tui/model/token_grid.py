"""Where answers stand in their passages, counted in tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.segments import CONTEXT
from engine.errors import DataError

Ints = NDArray[np.int32]
WINDOWS = 4096
"""Windows read at a time: some megabytes."""
KEPT = 1024
"""Passages whose boundaries stay in memory: more than a page of examples has."""
NOTHING, NOT_SCORED = -1, -2
"""Token positions of the answer "there is none", and where there is none since the example is not scored."""


@dataclass(frozen=True)
class Spans:
    """Answers as first and last token (inclusive, from the passage's first token), int32[N]; NOTHING for no answer,
    NOT_SCORED where it is not known."""

    start: Ints
    end: Ints

    def take(self, rows: Ints) -> Spans:
        """The spans of some examples."""
        return Spans(self.start[rows], self.end[rows])

    @property
    def size(self) -> Ints:
        """Tokens in each span; 0 for no answer."""
        return np.where(self.start < 0, 0, self.end - self.start + 1).astype(np.int32)


class PassageTokens:
    """The tokens of a few passages at a time, read when they are looked at. As TokenGrid, which is for all of them."""

    def __init__(
        self,
        windows_of: Callable[[int], range],
        token_offset: NDArray[np.int64],
        read: Callable[[str, int, int], NDArray[Any]],
    ) -> None:
        """`windows_of(example)` numbers the windows of an example; the rest as of TokenGrid."""
        self._windows_of, self._token_offset, self._read = windows_of, token_offset, read
        self.starts = lru_cache(maxsize=KEPT)(self._starts)
        """Where each token of an example's passage begins, int32[n] in code points."""

    def _starts(self, example: int) -> Ints:
        windows = self._windows_of(example)
        lo, hi = int(self._token_offset[windows.start]), int(self._token_offset[windows.stop])
        return np.unique(self._read("char_start", lo, hi)[self._read("segment", lo, hi) == CONTEXT])

    def spans(self, examples: Ints, char_start: Ints, char_end: Ints) -> Spans:
        """Answers to `examples` given in code points of their passages (end exclusive, -1 for no answer)."""
        found = np.full((2, len(examples)), NOTHING, np.int32)
        for place, (example, start, end) in enumerate(zip(examples.tolist(), char_start, char_end, strict=True)):
            if start >= 0:
                chars = start, max(end - 1, start)
                found[:, place] = np.maximum(self.starts(example).searchsorted(chars, side="right") - 1, 0)
        return Spans(found[0], found[1])


class TokenGrid:
    """The tokens of every passage, so that windows that overlap agree on where an answer stands.

    Token boundaries are kept once for each passage, however many questions are asked of it.
    """

    def __init__(
        self,
        contexts: Sequence[str],
        feature_example: Ints,
        token_offset: NDArray[np.int64],
        read: Callable[[str, int, int], NDArray[Any]],
    ) -> None:
        """`contexts` has one passage for each example, the arrays are those of features.safetensors, of which
        `read(name, lo, hi)` gives a part."""
        # A token's key is its place in all passages written one after the other.
        places: dict[str, int] = {}
        begin: list[int] = []
        total = 0
        for text in contexts:
            place = places.setdefault(text, total)
            if place == total:
                total += len(text) + 1
            begin.append(place)
        if total >= 1 << 31:
            raise DataError(f"the passages have {total} characters together, too many to draw.")
        self._begin = np.array(begin, dtype=np.int32)
        first_asked = np.zeros(len(contexts), dtype=np.bool_)
        first_asked[np.unique(self._begin, return_index=True)[1]] = True
        parts = [np.zeros(0, np.int32)]
        for first in range(0, len(feature_example), WINDOWS):
            owner = feature_example[first : first + WINDOWS]
            offset = token_offset[first : first + len(owner) + 1]
            if not first_asked[owner].any():
                continue
            lo, hi, sizes = int(offset[0]), int(offset[-1]), np.diff(offset)
            chosen = np.repeat(first_asked[owner], sizes) & (read("segment", lo, hi) == CONTEXT)
            parts.append(np.repeat(self._begin[owner], sizes)[chosen] + read("char_start", lo, hi)[chosen])
        keys: Ints = np.concatenate(parts)
        del parts
        if (np.diff(keys) <= 0).any():  # windows overlap, or passages come back
            keys.sort(kind="stable")
            keys = keys[np.diff(keys, prepend=-1) > 0]
        self._keys = keys
        self._first = np.searchsorted(keys, self._begin).astype(np.int32)
        sizes_of_texts = np.fromiter((len(text) for text in contexts), dtype=np.int32, count=len(contexts))
        self.length: Ints = np.searchsorted(keys, self._begin + sizes_of_texts).astype(np.int32) - self._first
        """Tokens of each example's passage, int32[N]."""

    def spans(self, char_start: Ints, char_end: Ints) -> Spans:
        """Answers given in code points of their passages (end exclusive, -1 for no answer) as token spans."""
        none = char_start < 0
        last_char = np.maximum(char_end - 1, char_start)
        return Spans(
            np.where(none, np.int32(NOTHING), self._token_at(char_start)),
            np.where(none, np.int32(NOTHING), self._token_at(last_char)),
        )

    def _token_at(self, char: Ints) -> Ints:
        """Index in its passage of the token at, or else before, each character."""
        found = np.searchsorted(self._keys, self._begin + np.maximum(char, 0), side="right") - 1
        place: Ints = np.maximum(found - self._first, 0).astype(np.int32)
        return place
