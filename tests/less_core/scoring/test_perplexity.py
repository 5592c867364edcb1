"""The middle of a pool by loss, against ranks that are counted one by one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from less_core.scoring.perplexity import middle_scores

# Few values, so that ties are common.
LOSSES = st.lists(st.one_of(st.integers(0, 5).map(float), st.sampled_from([math.nan, math.inf, -math.inf])), max_size=12)


def literal(losses: list[float]) -> list[float]:
    usable = [loss for loss in losses if math.isfinite(loss)]
    scores = []
    for loss in losses:
        if not math.isfinite(loss):
            scores.append(math.nan)
            continue
        below = sum(other < loss for other in usable)
        equal = sum(other == loss for other in usable)
        mean_place = sum(range(below, below + equal)) / equal
        scores.append(-abs((mean_place + 0.5) / len(usable) - 0.5) / 0.5)
    return scores


@given(LOSSES)
def test_middle_scores_are_minus_the_distance_of_the_mean_rank_from_the_median_rank(losses: list[float]) -> None:
    scores = middle_scores(np.array(losses, dtype=np.float64))
    assert scores.tolist() == pytest.approx(literal(losses), abs=1e-12, nan_ok=True)
    assert all(-1 < score <= 0 for score in scores if not math.isnan(score))


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=30).map(sorted), st.data())
def test_the_best_by_middle_score_are_the_middle_band(losses: list[int], data: st.DataObject) -> None:
    outside = data.draw(st.integers(0, (len(losses) - 1) // 2))  # left out on each side
    shuffled = data.draw(st.permutations(losses))
    scores = middle_scores(np.array(shuffled, dtype=np.float64))
    best = sorted(zip(-scores, shuffled, strict=True))[: len(losses) - 2 * outside]
    assert sorted(loss for _, loss in best) == losses[outside : len(losses) - outside]


def test_equal_losses_have_equal_scores_and_all_equal_ones_are_all_in_the_middle() -> None:
    assert middle_scores(np.array([3.0, 3.0, 3.0])).tolist() == [0, 0, 0]
    scores = middle_scores(np.array([1.0, 2.0, 2.0, 9.0]))
    assert scores[1] == scores[2] > scores[0] == scores[3]


def test_an_example_without_a_loss_has_no_score_and_moves_no_other() -> None:
    with_gap = middle_scores(np.array([1.0, math.nan, 2.0, 3.0, math.nan]))
    assert np.isnan(with_gap).tolist() == [False, True, False, False, True]
    assert with_gap[[0, 2, 3]].tolist() == middle_scores(np.array([1.0, 2.0, 3.0])).tolist()
    assert np.isnan(middle_scores(np.array([math.nan, math.nan]))).all()


def test_middle_scores_are_the_same_for_loss_and_perplexity() -> None:
    losses = np.array([0.3, 2.0, 1.5, 2.0, 5.0])
    assert middle_scores(losses).tolist() == middle_scores(np.exp(losses)).tolist()
