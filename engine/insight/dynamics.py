"""What is learned and forgotten between two snapshots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


def learned(before: Bools, after: Bools) -> Bools:
    """bool[N]: right after and not before; right means exact match (Toneva et al. 2019, arXiv 1812.05159)."""
    return after & ~before


def forgotten(before: Bools, after: Bools) -> Bools:
    """bool[N]: right before and not after, a forgetting event of Toneva et al. 2019."""
    return before & ~after
