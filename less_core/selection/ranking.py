"""The order of examples: highest score first, ties by example id, and no score that is not finite."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


class Candidate(NamedTuple):
    """An example that may be selected."""

    example_id: str
    tokens: int
    score: float


@dataclass
class Ranking:
    """The best `count` of the examples offered so far: highest score first, ties by example id."""

    count: int
    example_ids: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype="U32"))
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    tokens: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    best_cut: tuple[float, str] | None = None  # the best example that did not fit; nothing that ranks after it can enter any more

    def offer(self, example_ids: NDArray[np.str_], scores: NDArray[np.float64], tokens: NDArray[np.int64]) -> None:
        """Take in examples; those with a score that is not finite are left out, then all but the best."""
        keep = np.isfinite(scores)
        if self.best_cut is not None:
            score, example_id = self.best_cut
            keep &= (scores > score) | ((scores == score) & (example_ids < example_id))
        self.example_ids = np.concatenate([self.example_ids, example_ids[keep]])
        self.scores = np.concatenate([self.scores, scores[keep]])
        self.tokens = np.concatenate([self.tokens, tokens[keep]])
        order = np.lexsort((self.example_ids, -self.scores))
        offered = order
        order = order[: self.count]
        if len(order) < len(offered):
            first = offered[len(order)]
            self.best_cut = float(self.scores[first]), str(self.example_ids[first])
        self.example_ids, self.scores, self.tokens = self.example_ids[order], self.scores[order], self.tokens[order]


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
