"""What a report holds of a run: chosen examples, their scores in 8 bits, texts, curves. NumPy only."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.export.contents import Contents

FORMAT = 1
LARGEST = 5_000_000
"""Bytes of a report's page at most."""
ENCODED = 4 / 3
"""Characters of base64 for a byte."""
MOST_SNAPSHOTS = 20
"""Snapshots whose scores a report holds at most; of longer runs so many, spread evenly."""
LEVELS = 254
"""Steps of a quantised score from the lowest to the highest of its window; one more level stands for no number."""
NO_NUMBER = 255
SHARE = 65_535


@dataclass
class Payload:
    """A header and named arrays, as one block of bytes that the page's script takes apart."""

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def packed(self) -> bytes:
        """4 bytes length of the JSON, the JSON, the arrays, each from a multiple of 8 on; compressed by zlib."""
        place, sections, pieces = 0, {}, []
        for name, array in self.arrays.items():
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
            sections[name] = [place, array.size, array.dtype.str[1:]]
            data += bytes(-len(data) % 8)
            place += len(data)
            pieces.append(data)
        text = msgspec.json.encode(self.header | {"sections": sections})
        text += b" " * (-(len(text) + 4) % 8)
        return zlib.compress(b"".join([len(text).to_bytes(4, "little"), text, *pieces]), 9)


def spread(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(number * (count - 1) / (most - 1)) for number in range(most)})


def order_of_choice(contents: Contents, suspects: Sequence[int] = ()) -> list[int]:
    """All examples, those a sampled report needs most first: suspects, then failures, then the others, evenly spread.

    A failure is an example whose answer is wrong at the last snapshot, or was right at one before and then wrong.
    """
    failed = np.zeros(contents.count, np.bool_)
    was_right = np.zeros(contents.count, np.bool_)
    right = was_right
    for position in range(len(contents.snapshots)):
        with contents.open(position) as snapshot:
            right = snapshot.column("exact_match") >= 1
        failed |= was_right & ~right
        was_right = right
    wrong, forgotten = np.flatnonzero(~right), np.flatnonzero(failed & right)
    rest = np.flatnonzero(right & ~failed)
    bits = max(1, (len(rest) - 1).bit_length())
    # Counted in reversed bits, any first part of the rest is spread evenly over it.
    spread_out = sorted(range(len(rest)), key=lambda number: int(f"{number:0{bits}b}"[::-1], 2))
    order = [*suspects, *wrong.tolist(), *forgotten.tolist(), *rest[spread_out].tolist()]
    return list(dict.fromkeys(order))


def fitting(contents: Contents, order: Sequence[int], n_snapshots: int, budget: int) -> list[int]:
    """As many of the first examples of `order` as `budget` bytes hold before compression, in the run's order."""
    data = contents.eval_set
    sizes = np.bincount(data.feature_example, weights=np.diff(data.token_offset), minlength=contents.count)
    passages: set[str] = set()
    kept: list[int] = []
    used = 0.0
    for number in order:
        example = contents.examples[number]
        used += sizes[number] * (2 * n_snapshots + 2) + 40 * n_snapshots + len(example.question) + 100
        if example.context not in passages:
            passages.add(example.context)
            used += len(example.context)
        if used > budget and kept:
            break
        kept.append(number)
    return sorted(kept)


@dataclass(frozen=True)
class Quantised:
    """Scores as `levels` uint8[T] from `low` to `high` float32[W] of their window; NO_NUMBER where there is none."""

    levels: NDArray[np.uint8]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def quantised(logits: NDArray[np.float32], offset: NDArray[np.int64]) -> Quantised:
    """`logits` float32[T] of windows cut by `offset` int64[W + 1], in LEVELS equal steps for each window."""
    finite = np.isfinite(logits)
    starts, sizes = offset[:-1], np.diff(offset)
    low = np.minimum.reduceat(np.where(finite, logits, np.inf), starts)
    high = np.maximum.reduceat(np.where(finite, logits, -np.inf), starts)
    none = ~np.isfinite(low)
    low, high = np.where(none, 0, low), np.where(none, 0, high)
    reach = np.repeat(np.maximum(high - low, 1e-12), sizes)
    with np.errstate(invalid="ignore"):
        steps = np.rint((logits - np.repeat(low, sizes)) / reach * LEVELS)
    levels = np.where(finite, steps, NO_NUMBER).astype(np.uint8)
    return Quantised(levels, low.astype(np.float32), high.astype(np.float32))


def build(contents: Contents, chosen: Sequence[int], moments: Sequence[int], header: dict[str, Any]) -> Payload:
    """The payload of a report on the examples `chosen` at the snapshots `moments`, with `header` beside it."""
    data = contents.eval_set
    features = [feature for number in chosen for feature in data.features_of(number)]
    windows = [data.tokens(feature) for feature in features]
    offset = np.concatenate([[0], np.cumsum([len(window) for window in windows])]).astype(np.int64)
    place = _joined(np.arange(window.lo, window.hi) for window in windows)
    first = np.concatenate([[0], np.cumsum([len(data.features_of(number)) for number in chosen])])
    char_start = _joined(window.char_start for window in windows)
    payload = Payload(header | _texts(contents, chosen) | {"format": FORMAT})
    arrays = payload.arrays
    arrays["window_offset"] = first.astype(np.int32)
    arrays["token_offset"] = offset.astype(np.int32)
    for name in ("gold_start", "gold_end", "null_token"):
        arrays[name] = np.array([getattr(window, name) for window in windows], np.int32)
    arrays["char_start"] = char_start.astype(np.int32)
    arrays["char_length"] = (_joined(window.char_end for window in windows) - char_start).astype(np.int32)
    arrays["segment"] = _joined(window.segment for window in windows).astype(np.uint8)
    rows = np.asarray(chosen, np.int64)
    first_feature = np.searchsorted(data.feature_example, rows)
    found: dict[str, list[NDArray[Any]]] = {}
    for position in moments:
        with contents.open(position) as snapshot:
            column = {name: snapshot.column(name)[rows] for name in _COLUMNS}
            for side, logits in zip(("start", "end"), snapshot.logits(), strict=True):
                drawn = quantised(logits[place], offset)
                found.setdefault(f"{side}_levels", []).append(drawn.levels)
                found.setdefault(f"{side}_low", []).append(drawn.low)
                found.setdefault(f"{side}_high", []).append(drawn.high)
        window = np.where(column["pred_feature"] < 0, -1, column["pred_feature"] - first_feature)
        found.setdefault("pred_window", []).append(window.astype(np.int32))
        for name in ("pred_start", "pred_end", "pred_char_start", "pred_char_end", "score", "null_score"):
            found.setdefault(name, []).append(column[name])
        for name in ("gold_start_prob", "gold_end_prob", "iou", "f1"):
            share = np.rint(np.clip(np.nan_to_num(column[name]), 0, 1) * SHARE)
            found.setdefault(name, []).append(share.astype(np.uint16))
        flags = (column["exact_match"] >= 1) | (column["start_correct"] > 0) << 1 | (column["end_correct"] > 0) << 2
        found.setdefault("flags", []).append(flags.astype(np.uint8))
    arrays |= {name: np.stack(values) for name, values in found.items()}
    return payload


_COLUMNS = (
    "pred_feature", "pred_start", "pred_end", "pred_char_start", "pred_char_end", "score", "null_score",
    "gold_start_prob", "gold_end_prob", "iou", "f1", "exact_match", "start_correct", "end_correct",
)  # fmt: skip


def _joined(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([*parts])


def _texts(contents: Contents, chosen: Sequence[int]) -> dict[str, Any]:
    """Questions and answers, and every passage once."""
    passages: dict[str, int] = {}
    examples = []
    for number in chosen:
        example = contents.examples[number]
        examples.append(
            {
                "number": number,
                "id": example.id,
                "title": example.title,
                "question": example.question,
                "passage": passages.setdefault(example.context, len(passages)),
                "answers": [[answer.text, answer.start] for answer in example.answers],
                "seen": bool(contents.seen[number]),
            }
        )
    return {"examples": examples, "passages": list(passages)}
