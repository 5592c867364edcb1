"""DSIR: importance resampling by hashed n-grams (Xie et al. 2023, arXiv 2302.03169)."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer

from less_core.data.words import words_of

BUCKETS = 10_000
SMOOTHING = 1e-8  # added to the probability of a bucket, so that one that a side never fills has a logarithm


class Dsir:
    """Bags of hashed unigrams and bigrams of a pool's texts.

    Args:
        texts: All of the pool's, in order.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._counts = count_buckets(texts)
        self._pool = bucket_shares(self._counts)

    def log_weights(self, target: Sequence[str]) -> NDArray[np.float64]:
        """Return [texts] log(p_target(x) / p_pool(x)): over an example's n-grams, the sum of how much likelier the target makes each."""
        ratio = np.log(bucket_shares(count_buckets(target)) + SMOOTHING) - np.log(self._pool + SMOOTHING)
        return np.asarray(self._counts @ ratio, dtype=np.float64)


def gumbel(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Gumbel noise of uniform numbers in (0, 1).

    The k largest of log weight + Gumbel noise are k draws without replacement by weight (Kool et al. 2019).
    """
    return -np.log(-np.log(uniform))


def count_buckets(texts: Iterable[str]) -> csr_matrix:
    """Return [texts, `BUCKETS`] counts of unigrams and bigrams."""
    hashed = HashingVectorizer(analyzer=_grams, n_features=BUCKETS, alternate_sign=False, norm=None)
    return hashed.transform(texts)


def bucket_shares(counts: csr_matrix) -> NDArray[np.float64]:
    """Return [`BUCKETS`] each bucket's share of all n-grams."""
    total = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    return total / max(total.sum(), 1.0)


def _grams(text: str) -> list[str]:
    words = words_of(text)
    return words + [f"{one} {next_}" for one, next_ in pairwise(words)]
