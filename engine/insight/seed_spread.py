"""Scores of repeated runs: mean and spread over seeds, and whether two settings differ by more than the seeds do.

The rule is Welch's (B. L. Welch, "The generalization of 'Student's' problem when several different population variances
are involved", Biometrika 34, 1947): the 95 % interval of the difference of two means, without assuming that the
variances are equal. Why one run of each is not enough: N. Reimers and I. Gurevych, "Reporting Score Distributions Makes
a Difference", EMNLP 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
MAX_FREEDOM = 1e6
"""Degrees of freedom from which Student's t is the normal distribution to six digits."""


@dataclass(frozen=True)
class Spread:
    """`count` values: mean, sample standard deviation (over count - 1; None for one value), least and greatest."""

    count: int
    mean: float
    std: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Mean of the first sample less the mean of the second. `low` to `high` is its 95 % interval by Welch, None where a
    sample has one value and so no spread."""

    value: float
    low: float | None
    high: float | None

    @property
    def beyond_spread(self) -> bool | None:
        """Whether the interval leaves out 0; None where there is no interval."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0 or self.high < 0


def spread(values: Sequence[float]) -> Spread:
    """Mean and spread of `values`, of which there is at least one."""
    array = np.asarray(values, np.float64)
    std = float(array.std(ddof=1)) if len(array) > 1 else None
    return Spread(len(array), float(array.mean()), std, float(array.min()), float(array.max()))


def welch_difference(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> Difference:
    """The difference of the means with Welch's interval; the degrees of freedom are Satterthwaite's."""
    a, b = spread(first), spread(second)
    value = a.mean - b.mean
    if a.std is None or b.std is None:
        return Difference(value, None, None)
    of_a, of_b = a.std**2 / a.count, b.std**2 / b.count
    error = math.sqrt(of_a + of_b)
    if error == 0:
        return Difference(value, value, value)
    # As shares of their sum: squares of tiny variances would vanish.
    share_a, share_b = of_a / (of_a + of_b), of_b / (of_a + of_b)
    freedom = 1 / (share_a**2 / (a.count - 1) + share_b**2 / (b.count - 1))
    half = t_quantile((1 + confidence) / 2, freedom) * error
    return Difference(value, value - half, value + half)


def t_quantile(probability: float, freedom: float) -> float:
    """The value that Student's t with `freedom` (>= 1) degrees of freedom is below with `probability` (0.5 to 1)."""
    freedom = min(freedom, MAX_FREEDOM)
    low, high = 0.0, 1.0
    while t_probability(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def t_probability(t: float, freedom: float) -> float:
    """P(T <= t) for t >= 0: with t = sqrt(freedom) tan(angle) the density is a power of a cosine, which Gauss and
    Legendre's rule of 64 points integrates to 1e-9."""
    end = math.atan(t / math.sqrt(freedom))
    nodes, weights = np.polynomial.legendre.leggauss(64)
    angles = end * (nodes + 1) / 2
    area = float(np.sum(weights * np.cos(angles) ** (freedom - 1))) * end / 2
    constant = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    return 0.5 + constant * area
