"""BM25: how well an example's words match a target's (Robertson and Zaragoza 2009), by the library bm25s."""

import logging
from collections.abc import Iterable, Sequence

import bm25s
import numpy as np
from numpy.typing import NDArray

from less_core.data.words import words_of

K1, B = 1.5, 0.75  # bm25s's own

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it tells of every step


class Bm25:
    """An index of a pool's texts.

    Args:
        texts: All of the pool's, in order.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._numbers: dict[str, int] = {}  # of words: a number takes less memory than another copy of a word
        documents = [[self._numbers.setdefault(word, len(self._numbers)) for word in words_of(text)] for text in texts]
        self._count = len(documents)
        self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
        if self._numbers:
            self._index.index((documents, dict(self._numbers)), create_empty_token=False, show_progress=False)

    def scores(self, queries: Sequence[str], subtask_of: Sequence[int], subtasks: int) -> NDArray[np.float32]:
        """Return [texts, subtasks]: the mean over a subtask's target examples of the score with that example's text as the query.

        Words that no text has count for nothing.

        Args:
            queries: The target examples' texts.
            subtask_of: Each one's subtask; every subtask has at least one.
            subtasks: Their number.
        """
        total = np.zeros((self._count, subtasks), dtype=np.float32)
        counts = np.bincount(subtask_of, minlength=subtasks)
        for query, subtask in zip(queries, subtask_of, strict=True):
            numbers = [self._numbers[word] for word in words_of(query) if word in self._numbers]
            if numbers:
                total[:, subtask] += self._index.get_scores(numbers) / counts[subtask]
        return total
