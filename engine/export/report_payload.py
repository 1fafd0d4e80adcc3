"""What a report holds of a run: chosen examples, their scores in 8 bits, texts, curves. NumPy only."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.export.contents import Contents
from engine.insight.groups import group_scores, groups_of
from engine.insight.suspects import reason

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
MOST_SUSPECTS = 50
"""Entries of each list of suspects at most."""


@dataclass
class Payload:
    """A header and named arrays, as one block of bytes that the page's script takes apart."""

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def packed(self) -> bytes:
        """4 bytes length of the JSON, the JSON, the arrays, each from a multiple of 8 on; compressed by zlib."""
        place, sections, pieces = 0, {}, []
        for name, given in self.arrays.items():
            array = _smallest(given)
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
            sections[name] = [place, array.size, array.dtype.str[1:]]
            data += bytes(-len(data) % 8)
            place += len(data)
            pieces.append(data)
        text = msgspec.json.encode(self.header | {"sections": sections})
        text += b" " * (-(len(text) + 4) % 8)
        return zlib.compress(b"".join([len(text).to_bytes(4, "little"), text, *pieces]), 9)


def _smallest(array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in as few bytes as hold them all."""
    if array.dtype.kind not in "iu" or not array.size:
        return array
    lowest, highest = int(array.min()), int(array.max())
    for kind in (np.uint8, np.int8, np.uint16, np.int16):
        limits = np.iinfo(kind)
        if limits.min <= lowest and highest <= limits.max:
            return array.astype(kind)
    return array.astype(np.int32)


def spread(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(number * (count - 1) / (most - 1)) for number in range(most)})


def order_of_choice(contents: Contents) -> list[int]:
    """All examples, those a sampled report needs most first: suspects, those that snapshots of a sample score, then
    failures, then the others, evenly spread.

    A failure is an example whose answer is wrong at the last snapshot, or was right at one before and then wrong.
    """
    failed, right, sampled = (np.zeros(contents.count, np.bool_) for _ in range(3))
    for position, info in enumerate(contents.snapshots):
        with contents.open(position) as snapshot:
            was_right, scored = right, snapshot.scored
            right = np.where(scored, snapshot.column("exact_match") >= 1, was_right)
        failed |= was_right & ~right
        if info.sampled_of is not None:
            sampled |= scored
    wrong, forgotten = np.flatnonzero(~right), np.flatnonzero(failed & right)
    rest = np.flatnonzero(right & ~failed)
    bits = max(1, (len(rest) - 1).bit_length())
    # Counted in reversed bits, any first part of the rest is spread evenly over it.
    spread_out = sorted(range(len(rest)), key=lambda number: int(f"{number:0{bits}b}"[::-1], 2))
    lists = [[one.example for one in entries[:MOST_SUSPECTS]] for entries in contents.suspects]
    suspects = [number for pair in zip_longest(*lists) for number in pair if number is not None]
    order = [
        *suspects,
        *np.flatnonzero(sampled).tolist(),
        *wrong.tolist(),
        *forgotten.tolist(),
        *rest[spread_out].tolist(),
    ]
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
    lowest = np.minimum.reduceat(np.where(finite, logits, np.inf), starts)
    highest = np.maximum.reduceat(np.where(finite, logits, -np.inf), starts)
    none = ~np.isfinite(lowest)
    low = _coarse(np.where(none, 0, lowest), -np.inf)
    high = _coarse(np.where(none, 0, highest), np.inf)
    reach = np.repeat(np.maximum(high - low, 1e-12), sizes)
    with np.errstate(invalid="ignore"):
        steps = np.rint((logits - np.repeat(low, sizes)) / reach * LEVELS)
    return Quantised(np.where(finite, np.clip(steps, 0, LEVELS), NO_NUMBER).astype(np.uint8), low, high)


def _coarse(values: NDArray[Any], towards: float) -> NDArray[np.float32]:
    """float32 next to `values` in the direction of -inf or inf whose lower 16 bits are 0: they compress to half."""
    exact = values.astype(np.float32)
    cut = (exact.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    step = (cut.view(np.uint32) + np.uint32(0x10000)).view(np.float32)
    # Cutting bits moves towards zero: away from it, where that is the direction asked for, it is one step more.
    outward = (exact != cut) & ((exact > 0) == (towards > 0))
    coarse: NDArray[np.float32] = np.where(outward & np.isfinite(step), step, cut)
    return coarse


def build(contents: Contents, chosen: Sequence[int], moments: Sequence[int], header: dict[str, Any]) -> Payload:
    """The payload of a report on the examples `chosen` at the snapshots `moments`, with `header` beside it."""
    data = contents.eval_set
    features = [feature for number in chosen for feature in data.features_of(number)]
    windows = [data.tokens(feature) for feature in features]
    offset = np.concatenate([[0], np.cumsum([len(window) for window in windows])]).astype(np.int64)
    place = _joined(np.arange(window.lo, window.hi) for window in windows)
    first = np.concatenate([[0], np.cumsum([len(data.features_of(number)) for number in chosen])])
    char_start = _joined(window.char_start for window in windows)
    groups, group_columns = _groups(contents, chosen, moments)
    texts = _texts(contents, chosen) | {"groups": groups}
    payload = Payload(header | texts | {"suspects": _suspects(contents, chosen), "format": FORMAT})
    arrays = payload.arrays
    arrays["window_offset"] = first.astype(np.int32)
    arrays["token_offset"] = offset.astype(np.int32)
    for name in ("gold_start", "gold_end", "null_token"):
        arrays[name] = np.array([getattr(window, name) for window in windows], np.int32)
    char_end = _joined(window.char_end for window in windows)
    arrays["char_gap"] = char_start - np.concatenate([[0], char_end[:-1]])
    arrays["char_length"] = char_end - char_start
    arrays["segment"] = _joined(window.segment for window in windows).astype(np.uint8)
    arrays |= group_columns
    rows = np.asarray(chosen, np.int64)
    first_feature = np.searchsorted(data.feature_example, rows)
    found: dict[str, list[NDArray[Any]]] = {}
    n_tokens = int(data.token_offset[-1])
    for position in moments:
        with contents.open(position) as snapshot:
            column = {name: snapshot.column(name)[rows] for name in _COLUMNS}
            scored = snapshot.scored[rows]
            for side, logits in zip(("start", "end"), snapshot.logits(0, n_tokens), strict=True):
                drawn = quantised(logits[place], offset)
                found.setdefault(f"{side}_levels", []).append(drawn.levels)
                found.setdefault(f"{side}_low", []).append(drawn.low)
                found.setdefault(f"{side}_high", []).append(drawn.high)
        window = np.where(column["pred_feature"] < 0, -1, column["pred_feature"] - first_feature)
        found.setdefault("pred_window", []).append(window.astype(np.int32))
        for name in ("pred_start", "pred_end", "pred_char_start", "pred_char_end", "score"):
            found.setdefault(name, []).append(column[name])
        if data.allow_null:
            found.setdefault("null_score", []).append(column["null_score"])
        for name in ("gold_start_prob", "gold_end_prob", "iou", "f1"):
            share = np.rint(np.clip(np.nan_to_num(column[name]), 0, 1) * SHARE)
            found.setdefault(name, []).append(share.astype(np.uint16))
        flags = (column["exact_match"] >= 1) | (column["start_correct"] > 0) << 1 | (column["end_correct"] > 0) << 2
        found.setdefault("flags", []).append((flags | ~scored << 3).astype(np.uint8))
    arrays |= {name: np.stack(values) for name, values in found.items()}
    if contents.dynamics is not None:
        for name in ("confidence", "variability", "correctness", "forgetting", "first_learned"):
            arrays[f"run_{name}"] = getattr(contents.dynamics, name)[rows]
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


def _suspects(contents: Contents, chosen: Sequence[int]) -> dict[str, list[list[Any]]]:
    """The entries of both lists that the page holds: number among `chosen`, and the reason in words."""
    found = contents.dynamics
    if found is None:
        return {}
    places = {number: place for place, number in enumerate(chosen)}
    lists: dict[str, list[list[Any]]] = {}
    for name, entries in zip(("place", "boundary"), contents.suspects, strict=True):
        lists[name] = []
        for suspect in entries[:MOST_SUSPECTS]:
            if suspect.example in places:
                example = contents.examples[suspect.example]
                label = example.answers[0].text if example.answers else None
                words = reason(suspect, found, example.context, label)
                lists[name].append([places[suspect.example], words])
    return lists


GROUP_COLUMNS = ("scored", "right", "f1", "learned", "forgotten")


def _groups(
    contents: Contents, chosen: Sequence[int], moments: Sequence[int]
) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """The groups of all questions with those of them that the page holds, and their scores `[S, G]` over those that are
    scored."""
    groups = groups_of(contents.examples, contents.seen, by_character=contents.by_character)
    columns: dict[str, list[list[int]]] = {f"group_{name}": [] for name in GROUP_COLUMNS}
    before, was_scored = None, np.ones(contents.count, np.bool_)
    for position in moments:
        with contents.open(position) as snapshot:
            right, f1 = snapshot.column("exact_match") >= 1, np.nan_to_num(snapshot.column("f1"))
            scored = snapshot.scored
        scores = group_scores(groups, right, f1, before, scored, scored & was_scored)
        columns["group_scored"].append([score.count for score in scores])
        columns["group_right"].append([score.right for score in scores])
        columns["group_f1"].append([round(score.f1 * SHARE) for score in scores])
        columns["group_learned"].append([score.learned for score in scores])
        columns["group_forgotten"].append([score.forgotten for score in scores])
        before, was_scored = right, scored
    held = np.asarray(chosen)
    named = [
        {
            "kind": group.kind,
            "name": group.name,
            "count": len(group.rows),
            "members": np.flatnonzero(np.isin(held, group.rows)).tolist(),
        }
        for group in groups
    ]
    return named, {name: np.array(values, np.int64) for name, values in columns.items()}
