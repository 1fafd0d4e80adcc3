"""Tokenises questions and passages once each, for any tokenizer of the `tokenizers` library."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from engine.data.fast_encode import TextEncoder
from engine.data.token_table import TokenTable
from engine.errors import ModelError

CHUNK_CHARACTERS = 200_000
"""Texts are encoded in chunks of about this size: the encodings of a chunk are some fifty times bigger."""

AHEAD = 2
"""Chunks that are encoded while another is taken over."""

PROBES = (
    ("what is it", "it is a test of two words"),
    ("Who wrote it?", "It was written, in 1912, by A. N. Other (aged 31)."),
    ("  ¿Qué   día?", " Él llegó\tel día 3.\r\nNadie lo vio."),
    ("什么?", "这是一个测试。"),
    ("a", "b"),
)
"""Pairs that the tokenizer's own pair encoding is compared on."""

MASKS = ("[MASK]", "<mask>", "[UNK]", "<unk>", "<|endoftext|>")
"""Names of the token that hides another one, best first."""


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


class PairTokenizer:
    """A tokenizer for (question, passage) pairs. `mask_id` is the token that hides another one: the mask token, or
    the unknown token of a tokenizer without one.

    `padding_side` decides which comes first, as in Hugging Face's example: "right" means question first,
    "left" passage first. `shares_parts`: whether the tokenizer's pair encoding is its encoding of both
    texts plus special tokens (checked on probes when constructed); where it is not, every pair is encoded
    by itself, which is slower and equally right. `cls_id` and `sep_id` are -1 for a tokenizer that puts no special
    token around texts, as GPT-2's. The backend's truncation and padding are switched off.
    """

    def __init__(
        self,
        backend: Tokenizer,
        *,
        cls_id: int | None = None,
        sep_id: int | None = None,
        mask_id: int | None = None,
        padding_side: str = "right",
    ) -> None:
        """Raises ModelError for a tokenizer that can't encode pairs."""
        self._backend = backend
        self._encoder = TextEncoder(backend)
        self.question_first = padding_side != "left"
        self.template, self.shares_parts = self._learn_template()
        ids = [token for token, _ in self.template.specials]
        edge = ids[0] if self.template.prefix else ids[-1] if ids else -1
        self.cls_id = cls_id if cls_id in ids else edge
        others = [token for token in ids if token != self.cls_id]
        self.sep_id = sep_id if sep_id in ids else others[0] if others else self.cls_id
        known = (backend.token_to_id(name) for name in MASKS)
        self.mask_id = (
            mask_id if mask_id is not None else next((k for k in known if k is not None), max(self.sep_id, 0))
        )
        self.cls_token, self.sep_token = (
            (backend.id_to_token(token) or "") if token >= 0 else "" for token in (self.cls_id, self.sep_id)
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that its encodings depend on."""
        self._plain()
        ids = (self.cls_id, self.sep_id, self.mask_id, self.question_first, self.template, self.shares_parts)
        return hashlib.sha256(f"{ids}{self._backend.to_str()}".encode()).hexdigest()

    @classmethod
    def from_file(cls, path: str | Path) -> PairTokenizer:
        """From a tokenizer.json; a tokenizer_config.json in the same folder may name the padding side.

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
        named: dict[str, int | None] = {}
        for special in ("cls_token", "mask_token"):
            name = settings.get(special)
            name = name.get("content") if isinstance(name, dict) else name  # as transformers 4 wrote added tokens
            named[special] = backend.token_to_id(name) if isinstance(name, str) else None
        return cls(
            backend,
            cls_id=named["cls_token"],
            mask_id=named["mask_token"],
            padding_side=settings.get("padding_side", "right"),
        )

    def encode(
        self, questions: Sequence[str], contexts: Sequence[str], done: Callable[[int], None] | None = None
    ) -> tuple[TokenTable, TokenTable]:
        """Tables of all questions and all passages, each text by itself and without special tokens.

        `done` is called with the number of texts that are ready, questions first.
        """
        self._plain()
        texts = [*questions, *contexts]
        leads = [*map(_lead, questions), *(0 for _ in contexts)]
        border = len(questions)
        chunks = [*_chunks(questions), *(slice(border + c.start, border + c.stop) for c in _chunks(contexts))]
        tables: tuple[list[TokenTable], list[TokenTable]] = ([], [])

        def encoded(chunk: slice) -> list[Encoding]:
            bare = [text[lead:] for text, lead in zip(texts[chunk], leads[chunk], strict=True)]
            return self._encoder.encode(bare)

        for chunk, encodings in zip(chunks, _ahead(encoded, chunks), strict=True):
            tables[chunk.start >= border].append(
                TokenTable.of(
                    texts[chunk],
                    leads[chunk],
                    [len(encoding) for encoding in encodings],
                    np.fromiter(chain.from_iterable(e.ids for e in encodings), dtype=np.int32),
                    _spans(encodings),
                )
            )
            if done is not None:
                done(chunk.stop)
        return TokenTable.joined(tables[0]), TokenTable.joined(tables[1])

    def encode_pairs(
        self, questions: Sequence[str], contexts: Sequence[str], done: Callable[[int], None] | None = None
    ) -> tuple[TokenTable, TokenTable]:
        """Tables of all questions and all passages, each pair encoded as a whole.

        Raises ModelError where the special tokens around a pair depend on its texts.
        """
        self._plain()
        specials = [token for token, _ in self.template.specials]
        tables: tuple[list[TokenTable], list[TokenTable]] = ([], [])
        for chunk in _chunks(contexts):
            texts = (questions[chunk], contexts[chunk])
            leads = ([_lead(question) for question in texts[0]], [0] * len(texts[1]))
            pairs = [(question[lead:], context) for question, context, lead in zip(*texts, leads[0], strict=True)]
            if not self.question_first:
                pairs = [(context, question) for question, context in pairs]
            ids: tuple[list[int], list[int]] = ([], [])
            spans: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
            counts: tuple[list[int], list[int]] = ([], [])
            for encoding in self._backend.encode_batch(pairs, add_special_tokens=True):
                runs = _runs(encoding)
                if runs is None or _specials(encoding) != specials:
                    raise ModelError("this model's tokenizer puts special tokens inside texts; it can't be used.")
                for half, (first, last) in enumerate(runs if self.question_first else runs[::-1]):
                    ids[half].extend(encoding.ids[first:last])
                    spans[half].extend(encoding.offsets[first:last])
                    counts[half].append(last - first)
            for half in (0, 1):
                tables[half].append(
                    TokenTable.of(
                        texts[half],
                        leads[half],
                        counts[half],
                        np.array(ids[half], dtype=np.int32),
                        np.array(spans[half], dtype=np.int32).reshape(-1, 2),
                    )
                )
            if done is not None:
                done(chunk.stop)
        return TokenTable.joined(tables[0]), TokenTable.joined(tables[1])

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
                [alone] = self._encoder.encode([text])
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


def _lead(question: str) -> int:
    """How much white space stands before a question; it is not encoded."""
    return len(question) - len(question.lstrip())


def _chunks(texts: Sequence[str]) -> Iterator[slice]:
    low = size = 0
    for number, text in enumerate(texts, 1):
        size += len(text)
        if size >= CHUNK_CHARACTERS or number == len(texts):
            yield slice(low, number)
            low, size = number, 0


def _ahead(job: Callable[[slice], list[Encoding]], chunks: Sequence[slice]) -> Iterator[list[Encoding]]:
    """What the job makes of each chunk, in order. The library works without Python's lock: while one chunk is
    taken over, the next ones are encoded."""
    with ThreadPoolExecutor(AHEAD) as pool:
        coming: deque[Future[list[Encoding]]] = deque()
        for chunk in chunks:
            coming.append(pool.submit(job, chunk))
            if len(coming) > AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _spans(encodings: Sequence[Encoding]) -> NDArray[np.int32]:
    """int32[n_tokens, 2]"""
    flat = chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in encodings))
    return np.fromiter(flat, dtype=np.int32).reshape(-1, 2)
