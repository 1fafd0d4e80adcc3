"""One example through all snapshots of a run: the scores behind the heat map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.eval_set import CONTEXT, EvalSet, Tokens
from engine.snapshot import Snapshot
from tui.heat_model import Floats, HeatMap, softmax

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Journey:
    """Start and end of one window of one example at every snapshot, and whether the whole answer was right."""

    start: HeatMap
    end: HeatMap
    right: NDArray[np.bool_]


class HeatData:
    """Reads a window's scores of every snapshot once, and of a new snapshot when it comes."""

    def __init__(self, examples: EvalSet, snapshot: Callable[[int], Snapshot]) -> None:
        """`snapshot(position)` is an open snapshot of the run."""
        self._set = examples
        self._snapshot = snapshot
        self._key: tuple[int, int] | None = None
        self._marks: list[tuple[int, float]] = []
        self._scores: list[tuple[Floats, Floats, int, int, bool]] = []

    def tokens(self, example: int, window: int) -> Tokens:
        """The tokens of window number `window` of an example; its first where there is no such window."""
        features = self._set.features_of(example)
        return self._set.tokens(features[window] if 0 <= window < len(features) else features[0])

    def home_window(self, example: int) -> int:
        """The first window that holds the expected answer; 0 where none does."""
        features = self._set.features_of(example)
        return next((n for n, f in enumerate(features) if self._set.tokens(f).gold_start >= 0), 0)

    def journey(self, example: int, window: int, marks: Sequence[tuple[int, float]]) -> Journey:
        """The journey of one window. `marks` has (index, time) of every snapshot, so that those read before are
        not read again. Raises OSError, DataError."""
        tokens = self.tokens(example, window)
        key = (example, tokens.feature)
        if key != self._key or list(marks[: len(self._marks)]) != self._marks:
            self._key, self._marks, self._scores = key, [], []
        for position in range(len(self._marks), len(marks)):
            self._scores.append(self._read(position, example, tokens))
            self._marks.append(marks[position])
        choosable = tokens.segment == CONTEXT
        if self._set.allow_null:
            choosable = choosable.copy()
            choosable[tokens.null_token] = True
        whole = tokens.gold_start >= 0
        missing = tokens.null_token if self._set.allow_null else -1
        return Journey(
            self._map(0, choosable, tokens.gold_start if whole else missing),
            self._map(1, choosable, tokens.gold_end if whole else missing),
            np.array([score[4] for score in self._scores], dtype=np.bool_),
        )

    def _map(self, side: int, choosable: NDArray[np.bool_], expected: int) -> HeatMap:
        rows = [score[side] for score in self._scores]
        logits = np.stack(rows) if rows else np.zeros((0, len(choosable)), np.float32)
        predicted = np.array([score[2 + side] for score in self._scores], dtype=np.int32)
        return HeatMap(softmax(logits, choosable), expected, predicted)

    def _read(self, position: int, example: int, tokens: Tokens) -> tuple[Floats, Floats, int, int, bool]:
        snapshot = self._snapshot(position)
        start_logits, end_logits = snapshot.logits(tokens.lo, tokens.hi)

        def value(name: str) -> Any:
            return snapshot.column(name, example, example + 1)[0]

        start = end = -1
        predicted = int(value("pred_start"))
        if int(value("pred_feature")) == tokens.feature and predicted >= 0:
            start, end = predicted, int(value("pred_end"))
        elif predicted < 0 and self._set.allow_null:
            start = end = tokens.null_token
        return start_logits, end_logits, start, end, float(value("exact_match")) >= 1.0
