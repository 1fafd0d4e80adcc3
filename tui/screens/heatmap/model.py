"""What became of one example in the course of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.insight.dynamics import forgotten


def story(right_start: Sequence[bool], right_end: Sequence[bool], labels: Sequence[str]) -> str:
    """What became of the example, in one sentence."""
    right = [start and end for start, end in zip(right_start, right_end, strict=True)]
    if not any(right):
        return "never right so far" if right else "no snapshot yet"
    first = right.index(True)
    answers = np.array(right)
    lost = int(forgotten(answers[:-1], answers[1:]).sum())
    learned = f"first right at {labels[first]}"
    if lost == 0:
        return f"{learned}, and ever since" if first < len(right) - 1 else learned
    times = "once" if lost == 1 else f"{lost} times"
    return f"{learned}, forgotten {times}, {'right' if right[-1] else 'wrong'} now"
