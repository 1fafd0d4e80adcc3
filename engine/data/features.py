"""Windows of tokens over each passage, with character offsets and gold positions, all in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Example
from engine.data.issues import excerpt
from engine.data.segments import CONTEXT, QUESTION, SPECIAL
from engine.data.token_table import TokenTable
from engine.data.tokenizer import PairTokenizer
from engine.errors import UsageError

CHUNK_FEATURES = 2048
"""Windows assembled at a time; the index arrays of a chunk stay within a few megabytes."""

Progress = Callable[[int, int], None]
Offsets = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True)
class Features:
    """F windows of T tokens in all (question, context and specials; no padding), those of an example in a row.

    `token_offset` int64[F+1] cuts the arrays of tokens: `input_ids` int32[T], `type_ids` int8[T], `segment`
    int8[T] (SPECIAL, QUESTION, CONTEXT), `char_start` and `char_end` [T] (code points of the question or the
    context, by segment; 0 for specials; int16, or int32 where a text is longer than that holds).
    Of windows: `feature_example` int32[F]; `null_token` int32[F], the window's token that stands for "no
    answer"; `gold_start` and `gold_end` int32[F], first and last token of the first gold answer counted from
    the window's first token, -1 where the window does not hold it whole.
    """

    feature_example: NDArray[np.int32]
    token_offset: NDArray[np.int64]
    input_ids: NDArray[np.int32]
    type_ids: NDArray[np.int8]
    char_start: Offsets
    char_end: Offsets
    segment: NDArray[np.int8]
    null_token: NDArray[np.int32]
    gold_start: NDArray[np.int32]
    gold_end: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.feature_example)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in vars(self).values())


def build_features(
    examples: Sequence[Example],
    tokenizer: PairTokenizer,
    *,
    max_length: int,
    doc_stride: int,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Features:
    """Windows of at most `max_length` tokens, neighbours sharing `doc_stride` tokens of the context.

    The same windows as Hugging Face's fast tokenizers give (`return_overflowing_tokens`, `stride`); a question
    that leaves less room for the context than `doc_stride` + 1 tokens, where they raise, is cut, and `warn` is
    called with a message. `progress(done, total)` counts texts. Raises UsageError for a `max_length` without room
    for text.
    """
    questions, question_of = _unique([example.question for example in examples])
    contexts, context_of = _unique([example.context for example in examples])
    if tokenizer.shares_parts:
        total = len(questions) + len(contexts)
        question_table, context_table = tokenizer.encode(questions, contexts, _counting(progress, total))
    else:
        question_of = context_of = np.arange(len(examples))
        question_table, context_table = tokenizer.encode_pairs(
            [e.question for e in examples], [e.context for e in examples], _counting(progress, len(examples))
        )
    windows = _cut(
        examples, question_table, context_table, question_of, context_of, tokenizer, max_length, doc_stride, warn
    )
    gold_first, gold_last = _gold_tokens(examples, context_table, context_of)
    return _assemble(windows, tokenizer, question_table, context_table, gold_first, gold_last, warn, examples)


def select_windows(features: Features, windows: NDArray[np.int64]) -> Features:
    """The windows of these numbers alone, in their order; `feature_example` still counts all examples."""
    lengths = np.diff(features.token_offset)[windows]
    tokens = _ragged(features.token_offset[:-1][windows], lengths)
    of_tokens = ("input_ids", "type_ids", "char_start", "char_end", "segment")
    chosen = {
        name: array[tokens if name in of_tokens else windows]
        for name, array in vars(features).items()
        if name != "token_offset"
    }
    return Features(token_offset=np.concatenate(([0], np.cumsum(lengths))), **chosen)


def select_examples(features: Features, examples: NDArray[np.int64]) -> Features:
    """The windows of the examples of these numbers, which ascend, as if there were no others."""
    windows = np.flatnonzero(np.isin(features.feature_example, examples))
    chosen = select_windows(features, windows)
    return replace(chosen, feature_example=np.searchsorted(examples, chosen.feature_example).astype(np.int32))


def advance(room: NDArray[np.int64], doc_stride: int) -> NDArray[np.int64]:
    """How many tokens of the context lie between the starts of neighbouring windows with `room` for it.

    `room` - `doc_stride`, but at least a sixteenth of the room: where a question leaves hardly more room than
    the overlap, windows would else advance token by token.
    """
    return np.maximum(room - doc_stride, -(-room // 16))


def default_max_answer_length(features: Features) -> int:
    """How many tokens a predicted answer may have: enough for 99.5 % of the gold answers and a tenth more, at
    least 30."""
    held = np.flatnonzero(features.gold_start >= 0)
    _, first = np.unique(features.feature_example[held], return_index=True)
    held = held[first]
    if not len(held):
        return 30
    lengths = features.gold_end[held] - features.gold_start[held] + 1
    return max(30, int(np.ceil(1.1 * np.quantile(lengths, 0.995))))


@dataclass(frozen=True)
class _Windows:
    """Per window: its example, question row and tokens used, context row, first context token and count."""

    example: NDArray[np.int64]
    question: NDArray[np.int64]
    question_tokens: NDArray[np.int64]
    context: NDArray[np.int64]
    context_first: NDArray[np.int64]
    context_tokens: NDArray[np.int64]


def _unique(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    rows: dict[str, int] = {}
    of = np.fromiter((rows.setdefault(t, len(rows)) for t in texts), dtype=np.int64, count=len(texts))
    return list(rows), of


def _counting(progress: Progress | None, total: int) -> Callable[[int], None] | None:
    return None if progress is None else lambda done: progress(done, total)


def _cut(
    examples: Sequence[Example],
    question_table: TokenTable,
    context_table: TokenTable,
    question_of: NDArray[np.int64],
    context_of: NDArray[np.int64],
    tokenizer: PairTokenizer,
    max_length: int,
    doc_stride: int,
    warn: Callable[[str], None] | None,
) -> _Windows:
    available = max_length - len(tokenizer.template.specials)
    if available < 2 or doc_stride < 0:
        raise UsageError(f"windows of {max_length} tokens (doc_stride {doc_stride}) leave no room for text.")
    lengths = np.diff(question_table.offset)[question_of]
    asked = np.minimum(lengths, available - max(1, min(doc_stride + 1, available // 2)))
    long = np.flatnonzero(asked < lengths)
    if len(long) and warn is not None:
        warn(
            f"{_count(len(long), 'question')} too long for windows of {max_length} tokens "
            f"(first: {excerpt(examples[long[0]].id)}); cut to {int(asked[long[0]])} tokens"
        )
    room = available - asked
    step = advance(room, doc_stride)
    tokens = np.diff(context_table.offset)[context_of]
    count = 1 + np.maximum(0, -(-(tokens - room) // step))
    example = np.repeat(np.arange(len(examples)), count)
    first = _ragged(np.zeros_like(count), count) * step[example]
    return _Windows(
        example=example,
        question=question_of[example],
        question_tokens=asked[example],
        context=context_of[example],
        context_first=first,
        context_tokens=np.minimum(room[example], tokens[example] - first),
    )


def _count(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number:,} {what}s are"


def _ragged(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ranges start, start + 1, … of the given lengths, one after the other."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)


def _gold_tokens(
    examples: Sequence[Example], table: TokenTable, context_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last token (of the whole context) that overlap the first gold answer; -1 where there is none.

    An answer of nothing but dropped characters has the token that follows in its word."""
    first = np.full(len(examples), -1, dtype=np.int64)
    last = np.full(len(examples), -1, dtype=np.int64)
    answered = np.flatnonzero(np.fromiter((bool(e.answers) for e in examples), dtype=np.bool_, count=len(examples)))
    if not len(answered) or not len(table.ids):
        return first, last
    golds = [examples[number].answers[0] for number in answered.tolist()]
    row = context_of[answered]
    low = table.base[row] + np.array([gold.start for gold in golds], dtype=np.int64)
    high = low + np.array([len(gold.text) for gold in golds], dtype=np.int64)
    places = np.repeat(table.base[:-1], np.diff(table.offset))
    # Running extremes make the keys sorted even where a normalizer moved tokens; they leave the first token
    # that ends past `low`, and the last that starts before `high`, where they are.
    ends = np.maximum.accumulate(places + table.end)
    starts = np.minimum.accumulate((places + table.start)[::-1])[::-1]
    a = np.searchsorted(ends, low, side="right")
    b = np.searchsorted(starts, high, side="left") - 1
    within = (a >= table.offset[row]) & (a < table.offset[row + 1])
    for k in np.flatnonzero(within & (a > b)).tolist():
        between = examples[answered[k]].context[high[k] - table.base[row[k]] : table.start[a[k]]]
        if not any(map(str.isspace, between)):
            b[k] = a[k]
    found = within & (a <= b) & (b < table.offset[row + 1])
    first[answered] = np.where(found, a - table.offset[row], -1)
    last[answered] = np.where(found, b - table.offset[row], -1)
    return first, last


def _assemble(
    windows: _Windows,
    tokenizer: PairTokenizer,
    question_table: TokenTable,
    context_table: TokenTable,
    gold_first: NDArray[np.int64],
    gold_last: NDArray[np.int64],
    warn: Callable[[str], None] | None,
    examples: Sequence[Example],
) -> Features:
    """The windows as one flat table. `gold_first` and `gold_last` int64[n_examples] count tokens of the whole context,
    -1 for no answer; in the result they count from each window's first token."""
    template, question_first = tokenizer.template, tokenizer.question_first
    specials = np.array(template.specials, dtype=np.int64).reshape(-1, 2)
    question_type, context_type = template.first_type, template.second_type
    if not question_first:
        question_type, context_type = context_type, question_type
    # One table of everything that a window is made of; a window is five ranges of it.
    parts = (len(specials), len(question_table.ids), len(context_table.ids))
    ids = np.concatenate((specials[:, 0].astype(np.int32), question_table.ids, context_table.ids))
    types = np.concatenate((specials[:, 1], np.full(parts[1], question_type), np.full(parts[2], context_type))).astype(
        np.int8
    )
    segment = np.repeat(np.array([SPECIAL, QUESTION, CONTEXT], dtype=np.int8), parts)
    none = np.zeros(parts[0], dtype=np.int32)
    char_start = np.concatenate((none, question_table.start, context_table.start))
    char_end = np.concatenate((none, question_table.end, context_table.end))
    if not len(char_end) or char_end.max() < 2**15:
        char_start, char_end = char_start.astype(np.int16), char_end.astype(np.int16)

    prefix, middle = len(template.prefix), len(template.middle)
    suffix = parts[0] - prefix - middle
    question = (parts[0] + question_table.offset[windows.question], windows.question_tokens)
    context = (
        parts[0] + parts[1] + context_table.offset[windows.context] + windows.context_first,
        windows.context_tokens,
    )
    one, two = (question, context) if question_first else (context, question)
    count = len(windows.example)
    full = np.full(count, 1, dtype=np.int64)
    starts = np.stack([0 * full, one[0], prefix * full, two[0], (prefix + middle) * full], axis=1)
    lengths = np.stack([prefix * full, one[1], middle * full, two[1], suffix * full], axis=1)
    sizes = lengths.sum(axis=1)
    token_offset = np.concatenate(([0], np.cumsum(sizes)))
    columns: list[NDArray[Any]] = [ids, types, char_start, char_end, segment]
    out = [np.empty(token_offset[-1], dtype=column.dtype) for column in columns]
    for low in range(0, count, CHUNK_FEATURES):
        high = min(low + CHUNK_FEATURES, count)
        source = _ragged(starts[low:high].ravel(), lengths[low:high].ravel())
        for target, column in zip(out, columns, strict=True):
            target[token_offset[low] : token_offset[high]] = column[source]

    first, last = gold_first[windows.example], gold_last[windows.example]
    whole = (first >= windows.context_first) & (last < windows.context_first + windows.context_tokens)
    whole &= first >= 0
    shift = prefix - windows.context_first
    if question_first:
        shift = shift + windows.question_tokens + middle
    _warn_unheld(examples, windows, whole, warn)
    input_ids, type_ids, starts_out, ends_out, segments = out
    return Features(
        feature_example=windows.example.astype(np.int32),
        token_offset=token_offset,
        input_ids=input_ids,
        type_ids=type_ids,
        char_start=starts_out,
        char_end=ends_out,
        segment=segments,
        null_token=_null_token(tokenizer, lengths, sizes),
        gold_start=np.where(whole, first + shift, -1).astype(np.int32),
        gold_end=np.where(whole, last + shift, -1).astype(np.int32),
    )


def _null_token(tokenizer: PairTokenizer, lengths: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int32]:
    template = tokenizer.template
    for tokens, place in (
        (template.prefix, 0 * sizes),
        (template.middle, lengths[:, 0] + lengths[:, 1]),
        (template.suffix, sizes - lengths[:, 4]),
    ):
        for number, (token, _) in enumerate(tokens):
            if token == tokenizer.cls_id:
                return (place + number).astype(np.int32)
    return np.zeros(len(sizes), dtype=np.int32)


def _warn_unheld(
    examples: Sequence[Example],
    windows: _Windows,
    whole: NDArray[np.bool_],
    warn: Callable[[str], None] | None,
) -> None:
    if warn is None:
        return
    held = np.zeros(len(examples), dtype=np.bool_)
    held[windows.example[whole]] = True
    lost = [number for number, example in enumerate(examples) if example.answers and not held[number]]
    if lost:
        warn(
            f"{_count(len(lost), 'answer')} whole in no window (first: question {excerpt(examples[lost[0]].id)}); "
            "a larger doc_stride or max_length may help"
        )
