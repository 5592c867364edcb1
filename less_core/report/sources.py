"""How a selection's mix of sources differs from the pool's."""

import math
from collections import Counter
from dataclasses import dataclass

from less_core.report.summary import TargetSummary


@dataclass(frozen=True)
class SourceRow:
    """One source. Shares are of all examples of the pools and of all selected ones; NaN where there are none."""

    label: str  # tells it from the target's other sources
    pool: str
    source: str
    pool_examples: int
    selected_examples: int
    pool_share: float
    selected_share: float

    @property
    def ratio(self) -> float:
        """Share of the selection over share of the pool."""
        return self.selected_share / self.pool_share if self.pool_share > 0 else math.nan


def source_rows(target: TargetSummary) -> list[SourceRow]:
    """Return the sources, most selected first, then largest first."""
    pool_total = sum(source.pool_examples for source in target.sources)
    selected_total = sum(source.selected_examples for source in target.sources)
    uses = Counter(source.source for source in target.sources)
    rows = [
        SourceRow(
            label=source.source if uses[source.source] == 1 else f"{source.pool} / {source.source}",
            pool=source.pool,
            source=source.source,
            pool_examples=source.pool_examples,
            selected_examples=source.selected_examples,
            pool_share=_share(source.pool_examples, pool_total),
            selected_share=_share(source.selected_examples, selected_total),
        )
        for source in target.sources
    ]
    return sorted(rows, key=lambda row: (-row.selected_examples, -row.pool_examples, row.label))


def most_favoured(rows: list[SourceRow]) -> SourceRow | None:
    """Return the source whose share gained most, in points; None where no source gained.

    Points, not the ratio: the ratio is largest for a source of one example that happens to be selected.
    """
    pool_total = sum(row.pool_examples for row in rows)
    selected_total = sum(row.selected_examples for row in rows)
    # Shares over a common denominator are integers, so that an equal mix is a gain of exactly zero.
    gains = [row.selected_examples * pool_total - row.pool_examples * selected_total for row in rows]
    best = max(range(len(rows)), key=gains.__getitem__, default=None)
    return rows[best] if best is not None and gains[best] > 0 else None


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
