"""An even sample of the eval examples, for a first look at a set that takes minutes to score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.features import Features, select_examples

MOST_EXAMPLES, GLANCE = 200, 8
"""The first look is at the GLANCEth part of a sample: there in a second or two, also where others use the machine."""
MOST_TOKENS = 50_000
"""About five seconds on two processor cores with the default model: where passages are long, a sample has fewer
examples."""
LARGE = 2
"""A set is sampled where it has more than so many times MOST_TOKENS: else the whole is there nearly as soon."""

SOON, GLANCE_SECONDS = 10.0, 2.0
"""Where even a small set takes longer than SOON seconds to score, what takes GLANCE_SECONDS is looked at first."""


@dataclass(frozen=True)
class Sample:
    """K of `total` examples, by number: `examples` int64[K], ascending; `windows` int64[W] are the numbers of their
    windows. `features` are those windows alone, which count the examples from 0 to K - 1; `tokens` int64[W, 2] says
    from where to where each window's tokens stand among the tokens of all windows."""

    total: int
    examples: NDArray[np.int64]
    windows: NDArray[np.int64]
    features: Features
    tokens: NDArray[np.int64]


def even_numbers(total: int, count: int, keep: int | None = None) -> NDArray[np.int64]:
    """int64[count]: numbers below `total`, evenly spaced and ascending, `keep` among them."""
    chosen = np.unique(np.linspace(0, total - 1, count).round().astype(np.int64))
    if keep is not None and keep not in chosen:
        chosen[np.abs(chosen - keep).argmin()] = keep
    return np.sort(chosen)


def take_sample(features: Features, total: int, examples: NDArray[np.int64]) -> Sample:
    """The sample of these examples, out of `total` with the windows `features`."""
    windows = np.flatnonzero(np.isin(features.feature_example, examples))
    tokens = np.stack([features.token_offset[windows], features.token_offset[windows + 1]], axis=1)
    return Sample(total, examples, windows, select_examples(features, examples), tokens)


def first_looks(features: Features, total: int, probe: int | None = None) -> tuple[Sample, ...]:
    """Samples of a large set of `total` examples, each larger than the one before, `probe` among them; none where the
    whole is scored soon enough."""
    n_tokens = int(features.token_offset[-1])
    if n_tokens <= LARGE * MOST_TOKENS:
        return ()
    count = min(MOST_EXAMPLES, max(1, MOST_TOKENS * total // n_tokens))
    counts = sorted({max(1, count // GLANCE), count} - {total})
    return tuple(take_sample(features, total, even_numbers(total, size, probe)) for size in counts)


def glance(features: Features, total: int, seconds: float, probe: int | None = None) -> tuple[Sample, ...]:
    """A sample, `probe` in it, of a set of `total` examples that takes `seconds` to score; none where the whole is
    scored soon enough."""
    if seconds <= SOON:
        return ()
    count = max(1, int(total * GLANCE_SECONDS / seconds))
    return (take_sample(features, total, even_numbers(total, count, probe)),)
