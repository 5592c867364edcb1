"""Rankings and budgets: the same selection however the scores arrive."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from less_core.selection.budget import Budget, Quotas, make_budget
from less_core.selection.ranking import Candidate, Ranking
from less_core.selection.turns import MISFITS, take_in_turn


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


def offer(ranking: Ranking, examples: Sequence[Scored]) -> None:
    ranking.offer(
        np.array([e.example_id for e in examples], dtype="U32"),
        np.array([e.score for e in examples], dtype=np.float64),
        np.array([e.tokens for e in examples], dtype=np.int64),
    )


@given(examples=EXAMPLES, count=st.integers(1, 8), cuts=st.lists(st.integers(0, 14), max_size=5).map(sorted))
def test_ranking_is_the_same_however_the_stream_is_cut_into_offers(examples: list[Scored], count: int, cuts: list[int]) -> None:
    ranking = Ranking(count)
    for low, high in zip([0, *cuts], [*cuts, len(examples)], strict=True):
        offer(ranking, examples[low:high])
    expected = sorted((e for e in examples if math.isfinite(e.score)), key=lambda e: (-e.score, e.example_id))[:count]
    assert ranking.example_ids.tolist() == [e.example_id for e in expected]
    assert ranking.scores.tolist() == [e.score for e in expected]
    assert ranking.tokens.tolist() == [e.tokens for e in expected]


def test_ranking_breaks_ties_by_id() -> None:
    ranking = Ranking(2)
    offer(ranking, [Scored("c", 1, 1), Scored("b", 1, 1)])
    offer(ranking, [Scored("a", 1, 1), Scored("d", 1, 1)])
    assert ranking.example_ids.tolist() == ["a", "b"]


def test_ranking_leaves_out_scores_that_are_not_finite() -> None:
    ranking = Ranking(5)
    offer(ranking, [Scored("a", math.nan, 1), Scored("b", math.inf, 1), Scored("c", -1, 1), Scored("d", -math.inf, 1)])
    assert ranking.example_ids.tolist() == ["c"]


def test_ranking_keeps_no_more_than_its_budget_in_memory() -> None:
    ranking = Ranking(3)
    for start in range(0, 100, 10):
        offer(ranking, [Scored(f"{i:03d}", i % 17, 1) for i in range(start, start + 10)])
        assert len(ranking.example_ids) == len(ranking.scores) == len(ranking.tokens) == 3


RANKINGS = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=10), max_size=4)
REFUSED = st.sets(st.integers(0, 9))


def candidates(ranking: Sequence[int]) -> Iterator[Candidate]:
    return (Candidate(f"id{n}", n + 1, float(-place)) for place, n in enumerate(ranking))


def take(rankings: list[list[int]], budget: Budget, refused: Collection[int] = ()) -> tuple[list[str], list[str]]:
    """Return what was taken, and what was asked of, in order."""
    asked: list[str] = []

    def accept(candidate: Candidate) -> bool:
        asked.append(candidate.example_id)
        return int(candidate.example_id[2:]) not in refused

    return [c.example_id for c in take_in_turn([candidates(ranking) for ranking in rankings], budget, accept)], asked


def literal_take(rankings: list[list[int]], refused: Collection[int] = ()) -> tuple[list[str], list[str]]:
    """Turns, written out: each ranking gives its best that nobody has given and that is not refused."""
    left, taken, asked = [list(ranking) for ranking in rankings], [], []
    while any(left):
        for ranking in left:
            while ranking:
                number = ranking.pop(0)
                if f"id{number}" in asked:
                    continue
                asked.append(f"id{number}")
                if number not in refused:
                    taken.append(f"id{number}")
                    break
    return taken, asked


@given(RANKINGS)
def test_take_in_turn_takes_turns_without_repeats_until_nothing_is_left(rankings: list[list[int]]) -> None:
    taken = [c.example_id for c in take_in_turn([candidates(ranking) for ranking in rankings], Budget())]
    assert taken == literal_take(rankings)[0]
    assert sorted(taken) == sorted({f"id{n}" for ranking in rankings for n in ranking})


@given(RANKINGS, REFUSED)
def test_take_in_turn_asks_of_each_once_in_order_and_passes_over_what_is_refused(rankings: list[list[int]], refused: set[int]) -> None:
    taken, asked = take(rankings, Budget(), refused)
    assert (taken, asked) == literal_take(rankings, refused)
    assert len(asked) == len(set(asked))
    assert taken == [example_id for example_id in asked if int(example_id[2:]) not in refused]


@given(RANKINGS, REFUSED, st.integers(1, 12))
def test_take_in_turn_with_a_count_is_the_front_of_what_it_takes_without(rankings: list[list[int]], refused: set[int], count: int) -> None:
    whole, all_asked = take(rankings, Budget(), refused)
    taken, asked = take(rankings, Budget(count=count), refused)
    assert taken == whole[:count]
    assert asked == (all_asked[: all_asked.index(whole[count - 1]) + 1] if len(whole) >= count else all_asked)  # of none too many


@given(RANKINGS, REFUSED, st.integers(1, 60))
def test_take_in_turn_with_tokens_passes_over_what_is_longer_than_what_is_left(
    rankings: list[list[int]], refused: set[int], tokens: int
) -> None:
    taken, asked = take(rankings, Budget(tokens=tokens), refused)
    left = tokens
    for example_id in asked:
        assert int(example_id[2:]) + 1 <= left  # nobody is asked of what does not fit
        left -= (int(example_id[2:]) + 1) * (example_id in taken)
    never = {n for ranking in rankings for n in ranking} - {int(example_id[2:]) for example_id in asked}
    assert all(n + 1 > left for n in never)  # nothing that would still fit is left behind


def test_take_in_turn_with_tokens_goes_on_after_one_that_is_too_long() -> None:
    ranking = [Candidate("a", 200, 3.0), Candidate("b", 50, 2.0), Candidate("c", 40, 1.0)]
    assert take_in_turn([iter(ranking)], Budget(tokens=150)) == ranking[1:]


def test_take_in_turn_with_tokens_ends_after_a_thousand_in_a_row_that_do_not_fit() -> None:
    def ranking(misfits: int) -> list[Candidate]:
        return [Candidate("first", 9, 0.0), *(Candidate(f"{n}", 2, 0.0) for n in range(misfits)), Candidate("last", 1, 0.0)]

    assert [c.example_id for c in take_in_turn([iter(ranking(MISFITS - 1))], Budget(tokens=10))] == ["first", "last"]
    left = iter(ranking(MISFITS))
    assert [c.example_id for c in take_in_turn([left], Budget(tokens=10))] == ["first"]
    assert next(left).example_id == "last"


def test_take_in_turn_reads_no_more_where_no_tokens_are_left() -> None:
    ranking = candidates([4, 2, 7])
    assert take_in_turn([ranking], Budget(tokens=5)) == [Candidate("id4", 5, 0.0)]
    assert next(ranking).example_id == "id2"


def test_take_in_turn_spends_nothing_of_its_budget_on_what_is_refused() -> None:
    assert take([[8, 0, 7, 1]], Budget(count=2), {8, 7})[0] == ["id0", "id1"]
    assert take([[8, 0, 7, 1]], Budget(tokens=3), {8, 7})[0] == ["id0", "id1"]


def test_take_in_turn_keeps_the_turn_of_a_ranking_whose_best_is_refused() -> None:
    assert take([[1, 2], [3, 4]], Budget(), {1})[0] == ["id2", "id3", "id4"]


def test_take_in_turn_goes_on_where_one_ranking_is_the_front_of_another() -> None:
    assert take([[1, 2], [1, 2, 3, 4]], Budget())[0] == ["id1", "id2", "id3", "id4"]
    assert take([[], [5]], Budget())[0] == ["id5"]
    assert take([], Budget())[0] == []


def test_take_in_turn_returns_candidates_with_tokens_and_scores_and_reads_no_more_than_it_needs() -> None:
    ranking = candidates([4, 2, 7])
    assert take_in_turn([ranking], Budget(count=2)) == [Candidate("id4", 5, 0.0), Candidate("id2", 3, -1.0)]
    assert next(ranking).example_id == "id7"


OFFERS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=20)
SHARES = {"a": 0.29, "b": 0.5}


@given(OFFERS, st.one_of(st.integers(1, 12).map(lambda n: Budget(count=n)), st.integers(1, 60).map(lambda n: Budget(tokens=n))))
def test_quotas_leave_a_pool_room_up_to_its_share_of_the_budget(offers: list[tuple[str, int]], budget: Budget) -> None:
    quotas = Quotas(budget, SHARES)
    taken: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for pool, tokens in offers:
        with_it = [*taken[pool], tokens]
        used, whole = (len(with_it), budget.count) if budget.tokens is None else (sum(with_it), budget.tokens)
        fits = pool == "c" or used <= int(round(100 * SHARES[pool]) * whole // 100)
        assert quotas.has_room(pool, tokens) is fits
        if fits:
            quotas.take(pool, tokens)
            taken[pool] = with_it


def test_quota_is_rounded_down_and_may_be_of_nothing() -> None:
    count = Quotas(Budget(count=100), {"a": 0.29})  # 0.29 * 100 is 28.999999999999996
    for _ in range(29):
        assert count.has_room("a", 1000)
        count.take("a", 1000)
    assert not count.has_room("a", 1)
    assert not Quotas(Budget(count=3), {"a": 0.3}).has_room("a", 1)
    assert not Quotas(Budget(tokens=9), {"a": 0.5}).has_room("a", 5)
    assert Quotas(Budget(tokens=9), {"a": 0.5}).has_room("a", 4)


def test_an_example_too_long_for_the_room_of_its_pool_leaves_it_to_a_shorter_one() -> None:
    quotas = Quotas(Budget(tokens=20), {"a": 0.5})
    pool = {"long": "a", "short": "a", "other": "b"}

    def accept(candidate: Candidate) -> bool:
        if not quotas.has_room(pool[candidate.example_id], candidate.tokens):
            return False
        quotas.take(pool[candidate.example_id], candidate.tokens)
        return True

    ranking = [Candidate("long", 11, 3.0), Candidate("short", 10, 2.0), Candidate("other", 10, 1.0)]
    assert [c.example_id for c in take_in_turn([ranking], Budget(tokens=20), accept)] == ["short", "other"]


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
