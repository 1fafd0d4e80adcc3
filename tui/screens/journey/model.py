"""What Journey shows of one example at one snapshot, as numbers; and the limits of its scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.examples import Example
from engine.data.segments import CONTEXT
from engine.insight.spans import Candidate
from engine.rundir.eval_set import Tokens
from engine.rundir.snapshot import Prediction
from engine.rundir.verdicts import Verdict
from tui.model.token_scale import extremes, limits, scaled
from tui.model.viewer import Viewer
from tui.view_state import Scale, ViewState

Numbers = NDArray[np.float32]
LOOKED_AT = 32
"""Snapshots whose scores make the fixed scale of a window: all, or this many spread over a long run."""
KEPT_LIMITS = 4096


@dataclass(frozen=True, eq=False)
class Scene:
    """One window of one example at one snapshot: scores float32[n], choosable bool[n] tokens of an answer. Where the
    example is not scored at the snapshot, `predicted` is None, there are no candidates, and scores are NaN."""

    example: Example
    tokens: Tokens
    texts: list[str]
    window: int
    windows: int
    start: Numbers
    end: Numbers
    candidates: list[Candidate]
    predicted: Prediction | None
    choosable: NDArray[np.bool_]
    before: tuple[Numbers, Numbers] | None = None
    by_character: bool = False
    verdict: Verdict | None = None

    @property
    def predicted_tokens(self) -> tuple[int, int]:
        """Start and end of the answer in this window; the null token for "no answer"; -1 where it is elsewhere."""
        if self.predicted is None or self.predicted.feature != self.tokens.feature:
            return -1, -1
        if self.predicted.start < 0:
            return self.tokens.null_token, self.tokens.null_token
        return self.predicted.start, self.predicted.end

    @property
    def expected_tokens(self) -> tuple[int, int]:
        """Start and end of the first gold answer; the null token where there is none; -1 where it is elsewhere."""
        if self.example.is_impossible:
            return self.tokens.null_token, self.tokens.null_token
        return self.tokens.gold_start, self.tokens.gold_end

    @property
    def expected_chars(self) -> tuple[int, int] | None:
        """The first gold answer in the passage, in code points."""
        if not self.example.answers:
            return None
        first = self.example.answers[0]
        return first.start, first.start + len(first.text)

    @property
    def predicted_chars(self) -> tuple[int, int] | None:
        """The predicted answer in the passage, in code points; None for no answer, or where it is not known."""
        if self.predicted is None or self.predicted.start < 0:
            return None
        return self.predicted.char_start, self.predicted.char_end

    def span(self, one: int, other: int) -> tuple[int, int]:
        """The passage's stretch from one token to another, whichever comes first, in code points; (-1, -1) where one
        of them is not of the passage."""
        first, last = min(one, other), max(one, other)
        if self.tokens.segment[first] != CONTEXT or self.tokens.segment[last] != CONTEXT:
            return -1, -1
        return int(self.tokens.char_start[first]), int(self.tokens.char_end[last])

    def scaled(self, logits: Numbers, scale: Scale) -> Numbers:
        """`logits` as the charts show them."""
        return scaled(logits, self.choosable, scale)


def make_scene(viewer: Viewer, state: ViewState) -> Scene | None:
    """What `state` points at; None where there is nothing yet. Raises OSError, DataError for a snapshot file that
    can't be read.

    Without a chosen window it is the one with the expected answer, else the one with the predicted answer.
    """
    data = viewer.eval_set
    if not viewer.snapshots or data is None or not viewer.examples:
        return None
    number = min(state.example, len(viewer.examples) - 1)
    position = min(state.snapshot, len(viewer.snapshots) - 1)
    windows = viewer.windows(number)
    if not windows:
        return None
    predicted = viewer.predicted(position, number)
    window = state.window
    if window is None:
        golden = [n for n, tokens in enumerate(windows) if tokens.gold_start >= 0]
        holding = [n for n, tokens in enumerate(windows) if predicted and tokens.feature == predicted.feature]
        window = (golden or holding or [0])[0]
    window = min(window, len(windows) - 1)
    tokens = windows[window]
    start, end = viewer.snapshot(position).logits(tokens.lo, tokens.hi)
    choosable = data.choosable(tokens)
    before = None
    if state.change and position > 0 and viewer.predicted(position - 1, number) is not None:
        before = viewer.snapshot(position - 1).logits(tokens.lo, tokens.hi)
    return Scene(
        viewer.examples[number],
        tokens,
        data.token_texts(tokens),
        window,
        len(windows),
        start,
        end,
        viewer.candidates(position, number),
        predicted,
        choosable,
        before,
        by_character=viewer.by_character,
        verdict=viewer.verdict(number),
    )


class Limits:
    """Lowest and highest value of the y axis, the same for both charts."""

    def __init__(self) -> None:
        self._extremes: dict[tuple[int, int], Numbers] = {}

    def of(self, viewer: Viewer, scene: Scene, state: ViewState) -> tuple[float, float]:
        """With a fixed scale the limits hold for the window at all snapshots, so that a flip shows change and not
        rescaling; else for the snapshot in view."""
        if state.scale == "probability":
            highest = max(float(scene.scaled(side, state.scale).max()) for side in (scene.start, scene.end))
            return 0.0, 1.0 if state.fixed_scale else max(0.01, highest)
        shown = [extremes(scene.start, scene.end)]
        if state.fixed_scale:
            shown += [found for at in _spread(viewer) if (found := self._at(viewer, at, scene)) is not None]
        return limits(np.array(shown), state.scale)

    def _at(self, viewer: Viewer, position: int, scene: Scene) -> Numbers | None:
        key = (viewer.snapshots[position].index, scene.tokens.feature)
        if key not in self._extremes:
            if len(self._extremes) >= KEPT_LIMITS:
                self._extremes.clear()
            found = viewer.peek(position, scene.tokens)
            if found is None:
                return None
            self._extremes[key] = extremes(*found)
        return self._extremes[key]


def _spread(viewer: Viewer) -> list[int]:
    count = len(viewer.snapshots)
    if count <= LOOKED_AT:
        return list(range(count))
    return sorted({round(number * (count - 1) / (LOOKED_AT - 1)) for number in range(LOOKED_AT)})
