"""Ranks and their correlation, against loops that are too slow to use."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from less_core.changes.correlation import spearman
from less_core.selection.ranking import selection_ranks

# Few values, so that ties are common.
FINITE = st.integers(-3, 3).map(float)
PAIRS = st.lists(st.tuples(FINITE, FINITE), max_size=12)


def average_rank(values: list[float], value: float) -> float:
    return sum(v < value for v in values) + (sum(v == value for v in values) + 1) / 2


def literal_spearman(one: list[float], other: list[float]) -> float | None:
    """Pearson's correlation of the average ranks, written out."""
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    x, y = ([average_rank(values, value) for value in values] for values in (one, other))
    middle = (len(x) + 1) / 2
    products = sum((a - middle) * (b - middle) for a, b in zip(x, y, strict=True))
    return products / math.sqrt(sum((a - middle) ** 2 for a in x) * sum((b - middle) ** 2 for b in y))


@settings(deadline=None)
@given(
    st.lists(st.one_of(FINITE, st.sampled_from([math.nan, math.inf])), max_size=12).flatmap(lambda s: st.permutations(list(enumerate(s))))
)
def test_selection_ranks_go_by_score_then_id_and_leave_out_what_is_not_finite(rows: list[tuple[int, float]]) -> None:
    ids, scores = [f"e{number:02d}" for number, _ in rows], [score for _, score in rows]
    order = sorted((-score, e) for e, score in zip(ids, scores, strict=True) if math.isfinite(score))
    expected = [order.index((-score, e)) + 1 if math.isfinite(score) else 0 for e, score in zip(ids, scores, strict=True)]
    in_pieces = pa.chunked_array([ids[:3], ids[3:]], pa.string())
    assert selection_ranks(in_pieces, np.array(scores)).tolist() == expected


@settings(deadline=None)
@given(PAIRS)
def test_spearman_is_pearson_of_average_ranks(pairs: list[tuple[float, float]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    expected = literal_spearman(one, other)
    assert spearman(np.array(one), np.array(other)) == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_spearman_sees_order_alone() -> None:
    scores = np.array([0.1, -2.0, 7.0, 3.0])
    assert spearman(scores, np.exp(scores)) == pytest.approx(1)
    assert spearman(scores, -scores) == pytest.approx(-1)
