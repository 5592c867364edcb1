"""Perplexity: examples that the model finds neither easy nor hard (Yin and Rush 2024, arXiv 2410.16208, "mid-PPL")."""

import numpy as np
from numpy.typing import NDArray


def middle_scores(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [examples] scores, highest in the middle of the pool: minus the distance of a loss's rank from the median rank, in (-1, 0].

    Perplexity is exp(loss), so both rank alike. Equal losses share the mean of their ranks; where a loss is NaN, so is the score.
    """
    scores = np.full(len(losses), np.nan)
    usable = np.flatnonzero(np.isfinite(losses))
    _, place, counts = np.unique(losses[usable], return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts + 1) / 2  # from 0
    scores[usable] = -np.abs(2 * (ranks[place] + 0.5) / max(len(usable), 1) - 1)
    return scores
