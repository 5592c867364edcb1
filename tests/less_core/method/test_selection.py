"""Rankings and budgets: the same selection however the scores arrive."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from less_core.method.selection import Budget, Ranking, make_budget, merge_round_robin


@dataclass(frozen=True)
class Scored:
    example_id: str
    score: float
    tokens: int


# Few values, so that ties and full budgets are common.
SCORES = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf, -math.inf]))
EXAMPLES = st.lists(st.tuples(SCORES, st.integers(1, 9)), max_size=14).flatmap(
    lambda pairs: st.permutations([Scored(f"id{i:02d}", score, tokens) for i, (score, tokens) in enumerate(pairs)])
)
BUDGETS = st.one_of(st.integers(1, 8).map(lambda n: Budget(count=n)), st.integers(1, 40).map(lambda n: Budget(tokens=n)), st.just(Budget()))


def offer(ranking: Ranking, examples: Sequence[Scored]) -> None:
    ranking.offer(
        np.array([e.example_id for e in examples], dtype="U32"),
        np.array([e.score for e in examples], dtype=np.float64),
        np.array([e.tokens for e in examples], dtype=np.int64),
    )


def literal(examples: Sequence[Scored], budget: Budget) -> list[Scored]:
    """Sort everything, then take from the front until the next one would exceed the budget."""
    kept: list[Scored] = []
    for e in sorted((e for e in examples if math.isfinite(e.score)), key=lambda e: (-e.score, e.example_id)):
        too_many = budget.count is not None and len(kept) == budget.count
        too_long = budget.tokens is not None and sum(k.tokens for k in kept) + e.tokens > budget.tokens
        if too_many or too_long:
            break
        kept.append(e)
    return kept


@given(examples=EXAMPLES, budget=BUDGETS, cuts=st.lists(st.integers(0, 14), max_size=5).map(sorted))
@example([Scored("a", 3, 8), Scored("b", 1, 5), Scored("c", 2, 2)], Budget(tokens=10), [2])  # c enters after b was cut
@example([Scored("a", 3, 8), Scored("b", 1, 5), Scored("c", 1, 2)], Budget(tokens=10), [2])  # c ranks after b, so it must not
def test_ranking_is_the_same_however_the_stream_is_cut_into_offers(examples: list[Scored], budget: Budget, cuts: list[int]) -> None:
    ranking = Ranking(budget)
    for low, high in zip([0, *cuts], [*cuts, len(examples)], strict=True):
        offer(ranking, examples[low:high])
    expected = literal(examples, budget)
    assert ranking.example_ids.tolist() == [e.example_id for e in expected]
    assert ranking.scores.tolist() == [e.score for e in expected]
    assert ranking.tokens.tolist() == [e.tokens for e in expected]


def test_ranking_breaks_ties_by_id() -> None:
    ranking = Ranking(Budget(count=2))
    offer(ranking, [Scored("c", 1, 1), Scored("b", 1, 1)])
    offer(ranking, [Scored("a", 1, 1), Scored("d", 1, 1)])
    assert ranking.example_ids.tolist() == ["a", "b"]


def test_ranking_leaves_out_scores_that_are_not_finite() -> None:
    ranking = Ranking(Budget(count=5))
    offer(ranking, [Scored("a", math.nan, 1), Scored("b", math.inf, 1), Scored("c", -1, 1), Scored("d", -math.inf, 1)])
    assert ranking.example_ids.tolist() == ["c"]


def test_ranking_ends_before_the_first_example_that_exceeds_the_tokens() -> None:
    ranking = Ranking(Budget(tokens=10))
    offer(ranking, [Scored("a", 3, 6), Scored("b", 2, 5), Scored("c", 1, 4)])
    assert ranking.example_ids.tolist() == ["a"]


def test_ranking_keeps_no_more_than_its_budget_in_memory() -> None:
    ranking = Ranking(Budget(count=3))
    for start in range(0, 100, 10):
        offer(ranking, [Scored(f"{i:03d}", i % 17, 1) for i in range(start, start + 10)])
        assert len(ranking.example_ids) == len(ranking.scores) == len(ranking.tokens) == 3


RANKINGS = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=10), max_size=4)


def merge(rankings: list[list[int]], budget: Budget) -> list[str]:
    return merge_round_robin([[(f"id{n}", n + 1) for n in ranking] for ranking in rankings], budget)


def literal_merge(rankings: list[list[int]]) -> list[str]:
    """Turns, written out: each ranking gives its best that nobody has given."""
    left, taken = [list(ranking) for ranking in rankings], []
    while any(left):
        for ranking in left:
            while ranking:
                number = ranking.pop(0)
                if f"id{number}" not in taken:
                    taken.append(f"id{number}")
                    break
    return taken


@given(RANKINGS)
def test_merge_takes_turns_without_repeats_until_nothing_is_left(rankings: list[list[int]]) -> None:
    merged = merge(rankings, Budget())
    assert merged == literal_merge(rankings)
    assert sorted(merged) == sorted({f"id{n}" for ranking in rankings for n in ranking})


@given(RANKINGS, st.integers(1, 12))
def test_merge_with_a_count_is_the_front_of_the_merge_without(rankings: list[list[int]], count: int) -> None:
    assert merge(rankings, Budget(count=count)) == merge(rankings, Budget())[:count]


@given(RANKINGS, st.integers(1, 60))
def test_merge_with_tokens_ends_before_the_first_that_exceeds_them(rankings: list[list[int]], tokens: int) -> None:
    whole, expected = merge(rankings, Budget()), []
    for example_id in whole:
        if sum(int(e[2:]) + 1 for e in [*expected, example_id]) > tokens:
            break
        expected.append(example_id)
    assert merge(rankings, Budget(tokens=tokens)) == expected


def test_merge_goes_on_where_one_ranking_is_the_front_of_another() -> None:
    assert merge([[1, 2], [1, 2, 3, 4]], Budget()) == ["id1", "id2", "id3", "id4"]
    assert merge([[], [5]], Budget()) == ["id5"]
    assert merge([], Budget()) == []


@pytest.mark.parametrize(
    ("by", "amount", "examples", "expected"),
    [
        ("fraction", 0.29, 100, Budget(count=29)),  # 0.29 * 100 is 28.999999999999996
        ("fraction", 0.05, 39, Budget(count=1)),
        ("fraction", 0.05, 10, Budget(count=1)),
        ("fraction", 0.999, 100, Budget(count=99)),
        ("fraction", 1.0, 7, Budget(count=7)),
        ("count", 12.0, 5, Budget(count=12)),
        ("tokens", 2e6, 5, Budget(tokens=2_000_000)),
    ],
)
def test_make_budget_rounds_down_to_at_least_one(by: str, amount: float, examples: int, expected: Budget) -> None:
    assert make_budget(by, amount, examples) == expected
