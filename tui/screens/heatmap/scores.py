"""One example through all snapshots of a run: the scores behind the heat map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.insight.spans import softmax
from engine.rundir.eval_set import EvalSet, Tokens
from engine.rundir.snapshot import Snapshot
from tui.drawing.heat_map import NOT_SCORED, UNREADABLE, Floats, HeatMap

Ints = NDArray[np.int32]


class _Scores(NamedTuple):
    """One snapshot: scores of the window's tokens, predicted tokens in it (as HeatMap has them), and the answer."""

    start_logits: Floats
    end_logits: Floats
    start: int
    end: int
    right: bool
    answer: tuple[int, int]


@dataclass(frozen=True)
class ExampleJourney:
    """Start and end of one window of one example at every snapshot; whether the whole answer was right, and where it
    stood in the passage (code points, -1 for no answer)."""

    start: HeatMap
    end: HeatMap
    right: NDArray[np.bool_]
    answers: tuple[tuple[int, int], ...]

    @property
    def unreadable(self) -> list[int]:
        """The snapshots that can't be read."""
        return np.flatnonzero(self.start.predicted == UNREADABLE).tolist()

    @property
    def known(self) -> list[int]:
        """The snapshots that can be read and at which the example is scored."""
        return np.flatnonzero(self.start.predicted > UNREADABLE).tolist()

    @property
    def not_scored(self) -> list[int]:
        """The snapshots at which the example is not scored."""
        return np.flatnonzero(self.start.predicted == NOT_SCORED).tolist()


class HeatData:
    """Reads a window's scores of every snapshot once, and of a new snapshot when it comes."""

    def __init__(self, examples: EvalSet, snapshot: Callable[[int], Snapshot]) -> None:
        """`snapshot(position)` is an open snapshot of the run."""
        self._set = examples
        self._snapshot = snapshot
        self._key: tuple[int, int] | None = None
        self._marks: list[tuple[int, float]] = []
        self._scores: list[_Scores] = []

    def tokens(self, example: int, window: int) -> Tokens:
        """The tokens of window number `window` of an example; its first where there is no such window."""
        features = self._set.features_of(example)
        return self._set.tokens(features[window] if 0 <= window < len(features) else features[0])

    def home_window(self, example: int) -> int:
        """The first window that holds the expected answer; 0 where none does."""
        features = self._set.features_of(example)
        return next((n for n, f in enumerate(features) if self._set.tokens(f).gold_start >= 0), 0)

    def journey(self, example: int, window: int, marks: Sequence[tuple[int, float]]) -> ExampleJourney:
        """The journey of one window. `marks` has (index, time) of every snapshot, so that those read before are
        not read again. A snapshot that can't be read is left blank."""
        tokens = self.tokens(example, window)
        key = (example, tokens.feature)
        if key != self._key or list(marks[: len(self._marks)]) != self._marks:
            self._key, self._marks, self._scores = key, [], []
        for position in range(len(self._marks), len(marks)):
            self._scores.append(self._read(position, example, tokens))
            self._marks.append(marks[position])
        for position, scores in enumerate(self._scores):
            if scores.start == UNREADABLE:  # it may have come back
                self._scores[position] = self._read(position, example, tokens)
        choosable = self._set.choosable(tokens)
        whole = tokens.gold_start >= 0
        missing = tokens.null_token if self._set.allow_null else -1
        return ExampleJourney(
            _map(
                [score.start_logits for score in self._scores],
                [score.start for score in self._scores],
                choosable,
                tokens.gold_start if whole else missing,
            ),
            _map(
                [score.end_logits for score in self._scores],
                [score.end for score in self._scores],
                choosable,
                tokens.gold_end if whole else missing,
            ),
            np.array([score.right for score in self._scores], dtype=np.bool_),
            tuple(score.answer for score in self._scores),
        )

    def _read(self, position: int, example: int, tokens: Tokens) -> _Scores:
        try:
            return self._scores_of(self._snapshot(position), example, tokens)
        except (OSError, UserError):
            return _nothing(tokens, UNREADABLE)

    def _scores_of(self, snapshot: Snapshot, example: int, tokens: Tokens) -> _Scores:
        predicted = snapshot.prediction(example)
        if predicted is None:
            return _nothing(tokens, NOT_SCORED)
        start_logits, end_logits = snapshot.logits(tokens.lo, tokens.hi)
        start = end = -1
        if predicted.feature == tokens.feature and predicted.start >= 0:
            start, end = predicted.start, predicted.end
        elif predicted.start < 0 and self._set.allow_null:
            start = end = tokens.null_token
        answer = predicted.char_start, predicted.char_end
        return _Scores(start_logits, end_logits, start, end, predicted.is_right, answer)


def _nothing(tokens: Tokens, why: int) -> _Scores:
    """A snapshot without scores of the window."""
    nothing = np.full(tokens.hi - tokens.lo, -np.inf, np.float32)
    return _Scores(nothing, nothing, why, why, False, (-1, -1))


def _map(logits: list[Floats], predicted: list[int], choosable: NDArray[np.bool_], expected: int) -> HeatMap:
    stacked = np.stack(logits) if logits else np.zeros((0, len(choosable)), np.float32)
    return HeatMap(softmax(stacked, choosable), expected, np.array(predicted, dtype=np.int32))
