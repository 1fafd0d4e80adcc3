"""Tokenises questions and passages once each, for any tokenizer of the `tokenizers` library."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engine.errors import ModelError

CHUNK_CHARACTERS = 500_000
"""Texts are encoded in chunks of about this size: the encodings of a chunk are some fifty times bigger."""

PROBES = (
    ("what is it", "it is a test of two words"),
    ("Who wrote it?", "It was written, in 1912, by A. N. Other (aged 31)."),
    ("  ¿Qué   día?", " Él llegó\tel día 3.\r\nNadie lo vio."),
    ("什么?", "这是一个测试。"),
    ("a", "b"),
)
"""Pairs that the tokenizer's own pair encoding is compared on."""


@dataclass(frozen=True)
class Template:
    """Special tokens around a pair: prefix, first text, middle, second text, suffix; (ids, type ids) of each."""

    prefix: tuple[tuple[int, int], ...]
    middle: tuple[tuple[int, int], ...]
    suffix: tuple[tuple[int, int], ...]
    first_type: int
    second_type: int

    @property
    def specials(self) -> tuple[tuple[int, int], ...]:
        return self.prefix + self.middle + self.suffix


@dataclass(frozen=True)
class TokenTable:
    """Tokens of many texts: those of text k lie from offset[k] to offset[k + 1].

    `start` and `end` int32 are code points of the text, fitted as `_fit_spans` says; `base` int64
    is where each text begins if all are laid one after the other with a gap of one.
    """

    ids: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    offset: NDArray[np.int64]
    base: NDArray[np.int64]


class PairTokenizer:
    """A tokenizer for (question, passage) pairs.

    `padding_side` decides which comes first, as in Hugging Face's example: "right" means question first,
    "left" passage first. `shares_parts` tells whether the tokenizer's pair encoding is its encoding of both
    texts plus special tokens (checked on probes when constructed); where it is not, every pair is encoded
    by itself, which is slower and equally right. The backend's truncation and padding are switched off.
    """

    def __init__(
        self,
        backend: Tokenizer,
        *,
        cls_id: int | None = None,
        sep_id: int | None = None,
        padding_side: str = "right",
    ) -> None:
        """Raises ModelError for a tokenizer that can't encode pairs."""
        self._backend = backend
        self.question_first = padding_side != "left"
        self.template, self.shares_parts = self._learn_template()
        ids = [token for token, _ in self.template.specials]
        edge = ids[0] if self.template.prefix else ids[-1] if ids else -1
        self.cls_id = cls_id if cls_id in ids else edge
        others = [token for token in ids if token != self.cls_id]
        self.sep_id = sep_id if sep_id in ids else others[0] if others else self.cls_id
        self.cls_token = backend.id_to_token(self.cls_id) or ""
        self.sep_token = backend.id_to_token(self.sep_id) or ""

    @classmethod
    def from_file(cls, path: str | Path) -> PairTokenizer:
        """From a tokenizer.json; a tokenizer_config.json beside it may tell the padding side.

        Raises ModelError where the file can't be used.
        """
        path = Path(path)
        try:
            backend = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise ModelError(f"{path}: not a tokenizer that can be read: {error}.") from None
        settings: Any = {}
        with contextlib.suppress(OSError, ValueError, RecursionError):
            settings = json.loads((path.parent / "tokenizer_config.json").read_bytes())
        if not isinstance(settings, dict):
            settings = {}
        name = settings.get("cls_token")
        cls_id = backend.token_to_id(name) if isinstance(name, str) else None
        return cls(backend, cls_id=cls_id, padding_side=settings.get("padding_side", "right"))

    def encode(
        self, texts: Sequence[str], done: Callable[[int], None] | None = None, *, strip: bool = False
    ) -> TokenTable:
        """Each text by itself, without special tokens; `strip` leaves out leading white space (as questions
        have it), offsets stay those of the whole text. `done` is told how many texts are ready."""
        self._plain()
        leads = [len(text) - len(text.lstrip()) if strip else 0 for text in texts]
        pieces: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
        counts: list[int] = []

        def encoded(chunk: tuple[int, int]) -> Any:
            low, high = chunk
            bare = [text[lead:] for text, lead in zip(texts[low:high], leads[low:high], strict=True)]
            return self._backend.encode_batch(bare, add_special_tokens=False)

        chunks = list(_chunks(texts))
        # The library works without Python's lock: while it encodes a chunk, the one before is taken over.
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(encoded, chunks[0]) if chunks else None
            for number, (_, high) in enumerate(chunks, 1):
                assert coming is not None
                encodings = coming.result()
                coming = ahead.submit(encoded, chunks[number]) if number < len(chunks) else None
                pieces.append((_flat_ids(e.ids for e in encodings), _flat_offsets(e.offsets for e in encodings)))
                counts.extend(len(e) for e in encodings)
                if done is not None:
                    done(high)
        return _table(texts, counts, pieces, leads)

    def encode_pairs(
        self, questions: Sequence[str], contexts: Sequence[str], done: Callable[[int], None] | None = None
    ) -> tuple[TokenTable, TokenTable]:
        """Tables of all questions and all passages, each pair encoded as a whole.

        Raises ModelError where the special tokens around a pair depend on its texts.
        """
        self._plain()
        leads = [len(question) - len(question.lstrip()) for question in questions]
        specials = [token for token, _ in self.template.specials]
        pieces: tuple[list[Any], list[Any]] = ([], [])
        counts: tuple[list[int], list[int]] = ([], [])
        for low, high in _chunks(contexts):
            bare = [q[lead:] for q, lead in zip(questions[low:high], leads[low:high], strict=True)]
            pairs = list(zip(bare, contexts[low:high], strict=True))
            if not self.question_first:
                pairs = [(context, question) for question, context in pairs]
            for encoding in self._backend.encode_batch(pairs, add_special_tokens=True):
                runs = _runs(encoding)
                if runs is None or _specials(encoding) != specials:
                    raise ModelError("this model's tokenizer puts special tokens inside texts; it can't be used.")
                ids = np.array(encoding.ids, dtype=np.int32)
                spans = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
                for part, (first, last) in enumerate(runs if self.question_first else runs[::-1]):
                    pieces[part].append((ids[first:last], spans[first:last]))
                    counts[part].append(last - first)
            if done is not None:
                done(high)
        return (
            _table(questions, counts[0], pieces[0], leads),
            _table(contexts, counts[1], pieces[1], [0] * len(contexts)),
        )

    def _plain(self) -> None:
        self._backend.no_truncation()
        self._backend.no_padding()

    def _learn_template(self) -> tuple[Template, bool]:
        self._plain()
        template = None
        shared = True
        for question, context in PROBES:
            texts = (question.lstrip(), context) if self.question_first else (context, question.lstrip())
            pair = self._backend.encode(*texts)
            runs = _runs(pair)
            if runs is None:
                shared = False
                continue
            if any(first == last for first, last in runs):
                continue  # characters that are not in the vocabulary: this probe says nothing
            found = _template(pair, runs)
            template = template or found
            shared = shared and found == template
            for text, (first, last) in zip(texts, runs, strict=True):
                alone = self._backend.encode(text, add_special_tokens=False)
                shared = shared and alone.ids == pair.ids[first:last] and alone.offsets == pair.offsets[first:last]
        if template is None:
            raise ModelError("this model's tokenizer can't encode a question with its passage.")
        return template, shared


Run = tuple[int, int]


def _runs(encoding: Any) -> tuple[Run, Run] | None:
    """Where the two texts of a pair lie ((0, 0): no tokens); None unless each is one unbroken run, in order."""
    sequences = np.array([-1 if s is None else s for s in encoding.sequence_ids], dtype=np.int8)
    runs: list[Run] = []
    for sequence in (0, 1):
        places = np.flatnonzero(sequences == sequence)
        runs.append((int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0))
        if runs[-1][1] - runs[-1][0] != len(places):
            return None
    first, second = runs
    return (first, second) if first[1] <= second[0] or second == (0, 0) else None


def _specials(encoding: Any) -> list[int]:
    return [i for i, s in zip(encoding.ids, encoding.sequence_ids, strict=True) if s is None]


def _template(encoding: Any, runs: tuple[Run, Run]) -> Template:
    tokens = list(zip(encoding.ids, encoding.type_ids, strict=True))
    (first, first_end), (second, second_end) = runs
    return Template(
        prefix=tuple(tokens[:first]),
        middle=tuple(tokens[first_end:second]),
        suffix=tuple(tokens[second_end:]),
        first_type=tokens[first][1],
        second_type=tokens[second][1],
    )


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    low = size = 0
    for number, text in enumerate(texts, 1):
        size += len(text)
        if size >= CHUNK_CHARACTERS or number == len(texts):
            yield low, number
            low, size = number, 0


def _flat_ids(ids: Iterator[list[int]]) -> NDArray[np.int32]:
    return np.fromiter(chain.from_iterable(ids), dtype=np.int32)


def _flat_offsets(offsets: Iterator[list[tuple[int, int]]]) -> NDArray[np.int32]:
    """int32[n, 2]"""
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(offsets)), dtype=np.int32)
    return flat.reshape(-1, 2)


def _table(
    texts: Sequence[str],
    counts: Sequence[int],
    pieces: Sequence[tuple[NDArray[np.int32], NDArray[np.int32]]],
    leads: Sequence[int],
) -> TokenTable:
    lengths = np.array(counts, dtype=np.int64)
    sizes = np.fromiter((len(text) + 1 for text in texts), dtype=np.int64, count=len(texts))
    base = np.cumsum(sizes) - sizes
    ids = np.concatenate([np.empty(0, dtype=np.int32), *(ids for ids, _ in pieces)])
    spans = np.concatenate([np.empty((0, 2), dtype=np.int32), *(offsets for _, offsets in pieces)])
    spans += np.repeat(np.array(leads, dtype=np.int32), lengths)[:, None]
    places = np.repeat(base, lengths)
    start, end = _fit_spans("\n".join(texts), base, places + spans[:, 0], places + spans[:, 1])
    return TokenTable(
        ids=ids,
        start=(start - places).astype(np.int32),
        end=(end - places).astype(np.int32),
        offset=np.concatenate(([0], np.cumsum(lengths))),
        base=base,
    )


def _fit_spans(
    text: str, base: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spans without white space at their edges, and with the characters that no token covers.

    Byte-level and SentencePiece tokens have white space at their edges; a span of nothing else becomes empty,
    at its own end. Characters that a normalizer drops (accents, joiners) go to the token that they follow, or
    else to the one that they stand before, so that the text of a span of tokens lacks nothing. `base` is where
    each text begins: nothing goes to a token of another text.
    """
    if not len(start):
        return start, end
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    space = SPACES[np.minimum(codes, len(SPACES) - 1)]
    size = len(space)
    at = np.arange(size, dtype=np.int64)
    filled = end > start
    start, end = start.copy(), end.copy()
    if space[start[filled]].any() or space[end[filled] - 1].any():
        following = np.minimum.accumulate(np.where(space, size, at)[::-1])[::-1]
        preceding = np.maximum.accumulate(np.where(space, -1, at))
        start[filled] = np.minimum(following[start[filled]], end[filled])
        end[filled] = np.maximum(preceding[end[filled] - 1] + 1, start[filled])
        filled = end > start
    if not _all_held(start, end, space):
        taken = space | _covered(start, end, size)
        stop = np.append(np.minimum.accumulate(np.where(taken, at, size)[::-1])[::-1], size)
        end[filled] = stop[end[filled]]
        taken = space | _covered(start, end, size)
        stop = np.append(0, np.maximum.accumulate(np.where(taken, at + 1, 0)))
        start[filled] = stop[start[filled]]
        alone = np.flatnonzero(~(space | _covered(start, end, size)))
        if len(alone) and filled.any():
            _take_in(alone, base, np.flatnonzero(filled), start, end)
    return start, end


def _take_in(
    alone: NDArray[np.int64],
    base: NDArray[np.int64],
    filled: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
) -> None:
    """Dropped characters with white space around them go the same way, over the white space."""

    def text_of(places: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(base, places, side="right")

    before = np.searchsorted(start[filled], alone) - 1
    after = np.minimum(before + 1, len(filled) - 1)
    follows = (before >= 0) & (text_of(start[filled[before]]) == text_of(alone))
    np.maximum.at(end, filled[before[follows]], alone[follows] + 1)
    stands_before = ~follows & (start[filled[after]] > alone) & (text_of(start[filled[after]]) == text_of(alone))
    np.minimum.at(start, filled[after[stands_before]], alone[stands_before])


def _all_held(start: NDArray[np.int64], end: NDArray[np.int64], space: NDArray[np.bool_]) -> bool:
    """Whether the spans lie apart, in order, and hold everything but white space: most tokenizers' do."""
    before = np.concatenate([[0], np.cumsum(~space)])
    return bool((start[1:] >= end[:-1]).all() and (before[end] - before[start]).sum() == before[-1])


def _covered(start: NDArray[np.int64], end: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """bool[size]: some span holds the character."""
    depth = np.bincount(start, minlength=size + 1) - np.bincount(end, minlength=size + 1)
    return np.asarray(np.cumsum(depth)[:size] > 0)


SPACES = np.array([chr(code).isspace() for code in range(0x3002)])
"""Which code points are white space; all above U+3001 are taken for U+3001, which is none."""
