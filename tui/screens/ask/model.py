"""What Ask shows of one answer, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.segments import CONTEXT
from engine.messages import Answer, WindowScores

Numbers = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class AnswerWindow:
    """The window of an answer: scores float32[n], `choosable` bool[n]; tokens of the answer and of the expected one, -1
    where they are not in it."""

    texts: list[str]
    start: Numbers
    end: Numbers
    choosable: NDArray[np.bool_]
    segment: NDArray[np.int8]
    char_start: NDArray[np.int64]
    char_end: NDArray[np.int64]
    predicted: tuple[int, int]
    expected: tuple[int, int]

    def chars(self, token: int) -> tuple[int, int] | None:
        """Where a token stands in the passage, in code points; None for another token."""
        if not 0 <= token < len(self.texts) or self.segment[token] != CONTEXT:
            return None
        return int(self.char_start[token]), int(self.char_end[token])


def answer_window(answer: Answer, expected: tuple[int, int] | None = None) -> AnswerWindow | None:
    """The window that came with an answer; `expected` are code points of the passage. None where none came."""
    if not answer.scores:
        return None
    scores: WindowScores = answer.scores[0]
    segment = np.array(scores.segment, np.int8)
    choosable = segment == CONTEXT
    predicted = (scores.start, scores.end)
    if answer.null_odds is not None:
        choosable[scores.null_token] = True
        if answer.char_start < 0 and not answer.withheld:
            predicted = (scores.null_token, scores.null_token)
    char_start, char_end = np.array(scores.char_start, np.int64), np.array(scores.char_end, np.int64)
    return AnswerWindow(
        texts=scores.tokens,
        start=np.array(scores.start_logits, np.float32),
        end=np.array(scores.end_logits, np.float32),
        choosable=choosable,
        segment=segment,
        char_start=char_start,
        char_end=char_end,
        predicted=predicted,
        expected=_tokens_of(expected, segment, char_start, char_end),
    )


def _tokens_of(
    chars: tuple[int, int] | None, segment: NDArray[np.int8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[int, int]:
    """First and last token of the passage that share a character with a stretch; -1 where it is not whole in view."""
    if chars is None:
        return -1, -1
    passage = segment == CONTEXT
    held = np.flatnonzero(passage & (start < chars[1]) & (end > chars[0]))
    whole = len(held) and start[held[0]] <= chars[0] and end[held[-1]] >= chars[1]
    return (int(held[0]), int(held[-1])) if whole else (-1, -1)
