"""What a run's snapshots say of every example: expected and predicted answers, and how they compare."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.insight.dynamics import forgotten, learned
from engine.rundir.eval_set import EvalSet
from engine.rundir.snapshot import Snapshot
from engine.storage.tensors import Tensors
from tui.model.token_grid import NOT_SCORED, NOTHING, PassageTokens, Spans, TokenGrid

Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

KEPT = 6
"""Snapshots whose columns stay in memory: what flipping to and fro asks for."""
NO_ANSWER = "no answer"
NO_SCORE = "not scored"


@dataclass(frozen=True)
class SpanColumns:
    """One snapshot, one value for each example. `char_start` and `char_end` are code points of the passage, -1 for no
    answer; `exact_match`, `f1`, `iou` and `confidence` (√ of the gold start's times the gold end's probability) are 0
    to 1. `null_odds` is the null answer's score minus the best span's. Where an example is not `scored` at the
    snapshot, all else is no number, or no answer.
    """

    scored: Bools
    char_start: Ints
    char_end: Ints
    start_correct: Bools
    end_correct: Bools
    iou: Floats
    exact_match: Floats
    f1: Floats
    confidence: Floats
    null_odds: Floats

    @property
    def right(self) -> Bools:
        return self.exact_match >= 1.0

    def apart(self, impossible: Bools) -> str:
        """How many questions with and without an answer are right; "" where all have one."""
        if not impossible.any():
            return ""
        return " ".join(
            f"{name} {int(self.right[rows].sum())}/{int(rows.sum())}"
            for name, rows in (("HasAns", ~impossible & self.scored), ("NoAns", impossible & self.scored))
        )


@dataclass(frozen=True)
class Judged:
    """What order and filter look at, one value for each example.

    `right`, `was_right`: exact match at the snapshot and at the one before (None: there is none); `scored`: the example
    is scored at the snapshot, `both`: at the one before too; `iou` 0 to 1; `confidence` the geometric mean of the gold
    start's and end's probability; `true_start()` in tokens, which take a while for many examples.
    """

    right: Bools
    was_right: Bools | None
    scored: Bools
    both: Bools
    iou: Floats
    confidence: Floats
    true_start: Callable[[], Ints]
    impossible: Bools

    @property
    def learned(self) -> Bools:
        if self.was_right is None:
            return np.zeros_like(self.right)
        return learned(self.was_right, self.right, self.both)

    @property
    def forgotten(self) -> Bools:
        if self.was_right is None:
            return np.zeros_like(self.right)
        return forgotten(self.was_right, self.right, self.both)


class SpanData:
    """The examples of a run with their expected answers; `at` adds what a snapshot predicted."""

    def __init__(self, examples: EvalSet, features: Tensors, snapshot: Callable[[int], Snapshot]) -> None:
        """`features` is the run's features.safetensors, `snapshot(position)` an open snapshot of the run."""
        self._set = examples
        self._features = features
        self._snapshot = snapshot
        self._columns: OrderedDict[tuple[int, float], SpanColumns] = OrderedDict()

    @property
    def count(self) -> int:
        return len(self._set.examples)

    @cached_property
    def _passages(self) -> PassageTokens:
        """Token boundaries of the passages that are looked at."""
        return PassageTokens(self._set.features_of, self._set.token_offset, self._features.read)

    @cached_property
    def grid(self) -> TokenGrid:
        """Token boundaries of all passages."""
        return TokenGrid(
            [example.context for example in self._set.examples],
            self._set.feature_example,
            self._set.token_offset,
            self._features.read,
        )

    @cached_property
    def gold_char_start(self) -> Ints:
        """Where the first expected answer begins, in code points; -1 for none."""
        first = (example.answers[0].start if example.answers else NOTHING for example in self._set.examples)
        return np.array([*first], dtype=np.int32)

    @cached_property
    def gold_char_end(self) -> Ints:
        size = np.array([len(e.answers[0].text) if e.answers else 0 for e in self._set.examples], dtype=np.int32)
        return self.gold_char_start + size

    @cached_property
    def truth(self) -> Spans:
        """The first expected answer of every example, in tokens."""
        return self.grid.spans(self.gold_char_start, self.gold_char_end)

    def truth_of(self, rows: Ints) -> Spans:
        """The first expected answers of some examples, in tokens."""
        return self._passages.spans(rows, self.gold_char_start[rows], self.gold_char_end[rows])

    def predicted(self, columns: SpanColumns) -> Spans:
        """What a snapshot answers to every example, in tokens."""
        return _known(self.grid.spans(columns.char_start, columns.char_end), columns.scored)

    def predicted_of(self, columns: SpanColumns, rows: Ints) -> Spans:
        """What a snapshot answers to some examples, in tokens."""
        found = self._passages.spans(rows, columns.char_start[rows], columns.char_end[rows])
        return _known(found, columns.scored[rows])

    def longest_of(self, rows: Ints) -> int:
        """Tokens of the longest passage of some examples."""
        return max(len(self._passages.starts(row)) for row in rows.tolist())

    def expected_span(self, example: int) -> str:
        """First and last token of the expected answer, such as 12-15."""
        return span_text(self.truth_of(np.array([example], np.int32)), 0)

    def predicted_span(self, example: int, columns: SpanColumns) -> str:
        """First and last token of what a snapshot answers."""
        return span_text(self.predicted_of(columns, np.array([example], np.int32)), 0)

    @cached_property
    def impossible(self) -> Bools:
        return self.gold_char_start < 0

    @cached_property
    def _searched(self) -> list[list[str]]:
        examples = self._set.examples
        return [
            [example.question.casefold() for example in examples],
            [example.answers[0].text.casefold() if example.answers else "" for example in examples],
            [f"{example.id} {example.title}".casefold() for example in examples],
        ]

    def find(self, text: str) -> Bools | None:
        """Examples whose question, answer, id or title holds every word of `text`; None where there is none."""
        return find_text(text, self._searched) if text.strip() else None

    def at(self, position: int) -> SpanColumns:
        """The columns of the snapshot at `position` of the timeline. Raises OSError, DataError."""
        snapshot = self._snapshot(position)
        key = snapshot.info.index, snapshot.info.time  # a resumed run may write a snapshot again
        if key not in self._columns:
            self._columns[key] = self._read(snapshot)
            if len(self._columns) > KEPT:
                self._columns.popitem(last=False)
        self._columns.move_to_end(key)
        return self._columns[key]

    def _read(self, snapshot: Snapshot) -> SpanColumns:
        column = snapshot.column
        with np.errstate(invalid="ignore"):  # infinite scores
            null_odds = column("null_score") - column("score")
        return SpanColumns(
            scored=snapshot.scored,
            char_start=column("pred_char_start"),
            char_end=column("pred_char_end"),
            start_correct=column("start_correct") > 0,
            end_correct=column("end_correct") > 0,
            iou=column("iou"),
            exact_match=column("exact_match"),
            f1=column("f1"),
            confidence=np.sqrt(column("gold_start_prob") * column("gold_end_prob")),
            null_odds=null_odds,
        )

    def judged(self, position: int, before: int | None) -> Judged:
        """What order and filter look at, for the snapshot at `position` and the one at `before`."""
        now, then = self.at(position), None if before is None else self.at(before)
        return Judged(
            right=now.right,
            was_right=None if then is None else then.right,
            scored=now.scored,
            both=now.scored if then is None else now.scored & then.scored,
            iou=now.iou,
            confidence=now.confidence,
            true_start=lambda: self.truth.start,
            impossible=self.impossible,
        )

    def question(self, example: int) -> str:
        """Text from outside: show() it."""
        return self._set.examples[example].question

    def ident(self, example: int) -> str:
        """Text from outside: show() it."""
        return self._set.examples[example].id

    def expected(self, example: int) -> str:
        """The first expected answer. Text from outside: show() it."""
        answers = self._set.examples[example].answers
        return answers[0].text if answers else NO_ANSWER

    def answered(self, example: int, columns: SpanColumns) -> str:
        """What a snapshot answers. Text from outside: show() it."""
        if not columns.scored[example]:
            return NO_SCORE
        start, end = int(columns.char_start[example]), int(columns.char_end[example])
        return self._set.examples[example].context[start:end] if start >= 0 else NO_ANSWER


def _known(spans: Spans, scored: Bools) -> Spans:
    """The spans where examples are scored, NOT_SCORED elsewhere."""
    if scored.all():
        return spans
    return Spans(*(np.where(scored, end, np.int32(NOT_SCORED)) for end in (spans.start, spans.end)))


def span_text(spans: Spans, example: int) -> str:
    """First and last token of an answer, such as 12-15."""
    start, end = int(spans.start[example]), int(spans.end[example])
    return "-" if start < 0 else str(start) if start == end else f"{start}-{end}"


def find_text(needle: str, haystacks: Sequence[Sequence[str]]) -> Bools:
    """bool[N]: examples of which one of the texts (all lower case, one sequence for each kind of text) holds
    every word of `needle`."""
    words = needle.casefold().split()
    count = len(haystacks[0]) if haystacks else 0
    found = np.zeros(count, dtype=np.bool_)
    for texts in haystacks:
        found |= np.fromiter((all(word in text for word in words) for text in texts), dtype=np.bool_, count=count)
    return found
