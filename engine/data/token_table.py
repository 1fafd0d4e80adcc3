"""Where the tokens of many texts lie in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.characters import KINDS, SPACE, UNSEEN


@dataclass(frozen=True)
class TokenTable:
    """Tokens of many texts: those of text k lie from offset[k] to offset[k + 1].

    `start` and `end` int32 are code points of the text, fitted as `_fit_spans` says. If all texts are laid one
    after the other with a gap of one, text k begins at base[k]. `offset` and `base` int64[n_texts + 1].
    """

    ids: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    offset: NDArray[np.int64]
    base: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        leads: Sequence[int],
        counts: Sequence[int],
        ids: NDArray[np.int32],
        spans: NDArray[np.int32],
    ) -> TokenTable:
        """Of a tokenizer that was given each text from `leads` on, made `counts` tokens of it, and saw them at
        `spans` int32[n_tokens, 2] of what it was given."""
        base = _sums([len(text) + 1 for text in texts])
        places = np.repeat(base[:-1], counts)
        seen = spans + np.repeat(base[:-1] + np.array(leads, dtype=np.int64), counts)[:, None]
        start, end = _fit_spans("\n".join(texts), seen[:, 0], seen[:, 1])
        return cls(ids, (start - places).astype(np.int32), (end - places).astype(np.int32), _sums(counts), base)

    @classmethod
    def joined(cls, tables: Sequence[TokenTable]) -> TokenTable:
        """One table of all texts, in order."""
        if not tables:
            return cls.of([], [], [], np.empty(0, dtype=np.int32), np.empty((0, 2), dtype=np.int32))
        return cls(
            ids=np.concatenate([table.ids for table in tables]),
            start=np.concatenate([table.start for table in tables]),
            end=np.concatenate([table.end for table in tables]),
            offset=_sums(np.concatenate([np.diff(table.offset) for table in tables])),
            base=_sums(np.concatenate([np.diff(table.base) for table in tables])),
        )


def _sums(sizes: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[n + 1]: where ranges of these sizes begin, one after the other, and where the last one ends."""
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))


def _fit_spans(
    text: str, start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spans without white space and invisible characters at their edges, and with what else no token covers.

    Byte-level and SentencePiece tokens have white space at their edges; a span of nothing else becomes empty,
    at its own end. Visible characters that a normalizer drops (accents) go to the token that they follow in their
    word, or else to the one that they stand before; those that have no token in their word, and invisible ones
    (byte order mark, direction marks), go to none. A token of nothing but invisible characters keeps them.
    """
    if not len(start):
        return start, end
    kinds = KINDS.take(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), mode="clip")
    space = kinds == SPACE
    filled = end > start
    start, end = start.copy(), end.copy()
    if space[start[filled]].any() or space[end[filled] - 1].any():
        start[filled], end[filled] = _bare(start[filled], end[filled], space)
        filled = end > start
    if not _all_held(start, end, space):
        size = len(space)
        at = np.arange(size)
        taken = space | _covered(start, end, size)
        stop = np.append(np.minimum.accumulate(np.where(taken, at, size)[::-1])[::-1], size)
        end[filled] = stop[end[filled]]
        taken = space | _covered(start, end, size)
        stop = np.append(0, np.maximum.accumulate(np.where(taken, at + 1, 0)))
        start[filled] = stop[start[filled]]
    if (kinds[start[filled]] == UNSEEN).any() or (kinds[end[filled] - 1] == UNSEEN).any():
        low, high = _bare(start[filled], end[filled], kinds > 0)
        visible = low < high
        start[filled], end[filled] = np.where(visible, low, start[filled]), np.where(visible, high, end[filled])
    return start, end


def _bare(
    start: NDArray[np.int64], end: NDArray[np.int64], blank: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The spans without the `blank` characters at their edges; one of nothing else becomes empty, at its end."""
    at = np.arange(len(blank))
    following = np.minimum.accumulate(np.where(blank, len(blank), at)[::-1])[::-1]
    preceding = np.maximum.accumulate(np.where(blank, -1, at))
    low = np.minimum(following[start], end)
    return low, np.maximum(preceding[end - 1] + 1, low)


def _all_held(start: NDArray[np.int64], end: NDArray[np.int64], space: NDArray[np.bool_]) -> bool:
    """Whether the spans lie apart, in order, and hold everything but white space: most tokenizers' do."""
    low = np.concatenate(([0], end))
    gap = np.concatenate((start, [len(space)])) - low
    wide = np.flatnonzero(gap > 1)
    return bool(
        (gap >= 0).all()
        and space[low[gap == 1]].all()
        and all(space[a : a + n].all() for a, n in zip(low[wide].tolist(), gap[wide].tolist(), strict=True))
    )


def _covered(start: NDArray[np.int64], end: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """bool[size]: some span holds the character."""
    depth = np.bincount(start, minlength=size + 1) - np.bincount(end, minlength=size + 1)
    return np.asarray(np.cumsum(depth)[:size] > 0)
