"""Scores of tokens on the scale that charts show them on, and the limits of that scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.insight.spans import softmax
from tui.view_state import Scale

Numbers = NDArray[np.float32]


def scaled(logits: Numbers, choosable: NDArray[np.bool_], scale: Scale) -> Numbers:
    """`logits` float32[n] as charts show them; probabilities are those among the `choosable` tokens."""
    match scale:
        case "probability":
            return softmax(logits, choosable)
        case "shifted":
            return np.asarray(logits - logits.min(), np.float32)
        case "logit":
            return logits


def extremes(start: Numbers, end: Numbers) -> Numbers:
    """float32[2, 2]: lowest and highest of the finite start scores, and of the end scores."""
    rows = []
    for side in (start, end):
        finite = side[np.isfinite(side)]
        rows.append([finite.min(), finite.max()] if len(finite) else [0.0, 0.0])
    return np.array(rows, np.float32)


def limits(shown: Numbers, scale: Scale) -> tuple[float, float]:
    """Lowest and highest value of the y axis for `extremes` float32[k, 2, 2] of k snapshots, of logits and of what is
    above their minimum."""
    if scale == "shifted":
        return 0.0, max(1.0, float((shown[:, :, 1] - shown[:, :, 0]).max()))
    return min(0.0, float(np.floor(shown.min()))), max(1.0, float(np.ceil(shown.max())))
