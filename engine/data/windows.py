"""Which windows one epoch trains on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.data.features import Features


def training_windows(features: Features, seed: int, epoch: int) -> NDArray[np.int64]:
    """Numbers of the windows to train on in `epoch`, ascending: a pure function of its arguments.

    Windows without the answer train the null answer. Where they are no more than those with one, as on
    SQuAD, all windows are kept. Else (long documents) each example keeps, besides all windows with its
    answer, as many without as it has with; an example that has none with keeps the mean number of windows
    that hold an answer. Which ones changes from epoch to epoch, their number does not.
    """
    held = features.gold_start >= 0
    everything = np.arange(len(held), dtype=np.int64)
    if not len(held) or 2 * np.count_nonzero(held) >= len(held):
        return everything
    example = features.feature_example.astype(np.int64)
    answers = np.bincount(example[held], minlength=int(example.max()) + 1)
    usual = round(answers[answers > 0].mean()) if held.any() else 1
    cap = np.where(answers > 0, answers, max(1, usual))
    empty = np.flatnonzero(~held)
    draw = np.random.default_rng([seed, epoch, 0x57494E]).random(len(empty))
    shuffled = empty[np.lexsort((draw, example[empty]))]
    owner = example[shuffled]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    return np.sort(np.concatenate((everything[held], shuffled[rank < cap[owner]])))
