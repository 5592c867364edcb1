"""Ranks of scores: the one order that a selection goes by, and how far two orders agree."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def selection_ranks(example_ids: pa.ChunkedArray, scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return each example's rank, 1 the highest score, ties by example id; 0 where the score is not finite.

    Args:
        example_ids: [examples], distinct strings.
        scores: [examples].
    """
    usable = np.flatnonzero(np.isfinite(scores))
    order = usable[np.argsort(-scores[usable], kind="stable")]
    equal = scores[order[1:]] == scores[order[:-1]]
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= equal
    tied[:-1] |= equal
    # Ids are slow to sort; only where scores are equal do they count.
    places = np.flatnonzero(tied)
    if len(places):
        rows = order[places]
        ties = pa.table({"score": -scores[rows], "example_id": example_ids.take(pa.array(rows))})
        order[places] = rows[pc.sort_indices(ties, [("score", "ascending"), ("example_id", "ascending")]).to_numpy()]
    ranks = np.zeros(len(scores), dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


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
