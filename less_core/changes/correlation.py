"""How far two lists of scores agree in their order."""

import numpy as np
from numpy.typing import NDArray


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Return Spearman's correlation of two lists of finite scores [examples], or None where either has not two different values."""
    x, y = _average_ranks(one), _average_ranks(other)
    x -= x.mean() if len(x) else 0
    y -= y.mean() if len(y) else 0
    spread = float(np.sqrt(x @ x) * np.sqrt(y @ y))
    return float(np.clip((x @ y) / spread, -1, 1)) if spread > 0 else None


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 0, the lowest value first; equal values share the mean of theirs."""
    order = np.argsort(values, kind="stable")
    _, first, counts = np.unique(values[order], return_index=True, return_counts=True)
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (counts - 1) / 2, counts)
    return ranks
