"""What a report counts in a scores file, a row group at a time."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from less_core.report.summary import Histogram, LengthBin, SourceShare, SubtaskCount

BINS = 50
LENGTH_EDGES = (0, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 1 << 30)
Tables = Callable[[], Iterator[pa.Table]]


class ScoreStatistics:
    """Everything counted in one pass over scores, after a first pass for their range.

    Args:
        tables: Gives the row groups anew at each call.
        selected: Ids of the selected examples.
        shown: Examples kept from the top and from the bottom.
    """

    def __init__(self, tables: Tables, selected: set[str], shown: int) -> None:
        low, high = _range(tables())
        self._edges = np.linspace(low, high, BINS + 1)
        self._counts = np.zeros((2, BINS), dtype=np.int64)
        self._sources: Counter[tuple[str, str]] = Counter()
        self._selected_sources: Counter[tuple[str, str]] = Counter()
        self._subtasks: Counter[str] = Counter()
        self._lengths = np.zeros((3, len(LENGTH_EDGES) - 1))  # examples, sum of scores, selected
        self._moments = np.zeros(6)  # n, sum x, sum y, sum xx, sum yy, sum xy of tokens and score
        self.scored = 0
        self.best: list[dict[str, object]] = []
        self.worst: list[dict[str, object]] = []
        for table in tables():
            self._add(table, selected, shown)

    def _add(self, table: pa.Table, selected: set[str], shown: int) -> None:
        pairs = list(zip(table["pool"].to_pylist(), table["source"].to_pylist(), strict=True))
        chosen = np.array([e in selected for e in table["example_id"].to_pylist()], dtype=bool)
        self._sources.update(pairs)
        self._selected_sources.update(pair for pair, c in zip(pairs, chosen, strict=True) if c)
        self._subtasks.update(s for s, c in zip(table["best_subtask"].to_pylist(), chosen, strict=True) if c)
        score, tokens = table["score"].to_numpy().astype(np.float64), table["num_tokens"].to_numpy()
        ok = np.isfinite(score)
        score, tokens, chosen = score[ok], tokens[ok], chosen[ok]
        self.scored += len(score)
        self._counts[0] += np.histogram(score, self._edges)[0]
        self._counts[1] += np.histogram(score[chosen], self._edges)[0]
        bin_ = np.digitize(tokens, LENGTH_EDGES) - 1
        size = len(LENGTH_EDGES) - 1
        self._lengths += np.stack([np.bincount(bin_, weights=w, minlength=size) for w in (np.ones(len(score)), score, chosen)])
        x, y = tokens.astype(np.float64), score
        self._moments += [len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]
        down, up = (np.flatnonzero(ok)[np.argsort(values, kind="stable")] for values in (-score, score))
        rows = ["example_id", "pool", "file", "index", "score", "best_subtask", "num_tokens"]
        self.best = _first(self.best + table.select(rows).take(down[:shown]).to_pylist(), shown, -1)
        self.worst = _first(self.worst + table.select(rows).take(up[:shown]).to_pylist(), shown, 1)

    @property
    def histogram(self) -> Histogram:
        return Histogram(edges=self._edges.tolist(), pool=self._counts[0].tolist(), selected=self._counts[1].tolist())

    @property
    def sources(self) -> list[SourceShare]:
        """Most selected first."""
        shares = [
            SourceShare(pool=pool, source=source, pool_examples=n, selected_examples=self._selected_sources[pool, source])
            for (pool, source), n in self._sources.items()
        ]
        return sorted(shares, key=lambda s: (-s.selected_examples, -s.pool_examples, s.pool, s.source))

    @property
    def lengths(self) -> list[LengthBin]:
        bins = zip(LENGTH_EDGES[:-1], LENGTH_EDGES[1:], *self._lengths.tolist(), strict=True)
        return [LengthBin(low=lo, high=hi, examples=int(n), mean_score=total / n, selected=int(s)) for lo, hi, n, total, s in bins if n]

    @property
    def best_subtasks(self) -> list[SubtaskCount]:
        return [SubtaskCount(subtask=s, selected=n) for s, n in sorted(self._subtasks.items(), key=lambda item: (-item[1], item[0]))]

    @property
    def length_correlation(self) -> float:
        """Pearson's, of score with number of tokens; zero where either does not vary."""
        n, x, y, xx, yy, xy = self._moments
        spread = (n * xx - x * x) * (n * yy - y * y)
        return float((n * xy - x * y) / spread**0.5) if spread > 0 else 0.0


def _first(rows: Sequence[dict[str, object]], count: int, sign: int) -> list[dict[str, object]]:
    return sorted(rows, key=lambda row: (sign * float(str(row["score"])), str(row["example_id"])))[:count]


def _range(tables: Iterable[pa.Table]) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for table in tables:
        score = table["score"].to_numpy().astype(np.float64)
        score = score[np.isfinite(score)]
        if len(score):
            low, high = min(low, score.min()), max(high, score.max())
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(low) + 0.5)
