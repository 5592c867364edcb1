"""Shares, order and labels of sources, and which one gained most."""

import math
from collections.abc import Callable

from less_core.report.sources import most_favoured, source_rows
from less_core.report.summary import SourceShare, TargetSummary

MakeTarget = Callable[..., TargetSummary]


def shares(*counts: tuple[str, int, int], pool: str = "pool") -> list[SourceShare]:
    return [SourceShare(pool=pool, source=name, pool_examples=size, selected_examples=selected) for name, size, selected in counts]


def test_source_rows_are_shares_of_pool_and_selection(target_with: MakeTarget) -> None:
    first = source_rows(target_with())[0]
    assert (first.label, first.pool_share, first.selected_share) == ("gsm8k_train", 0.25, 0.55)
    assert math.isclose(first.ratio, 2.2)


def test_source_rows_are_most_selected_first_then_largest(target_with: MakeTarget) -> None:
    rows = source_rows(target_with(sources=shares(("b", 5, 0), ("c", 9, 0), ("a", 5, 0), ("d", 1, 1))))
    assert [row.label for row in rows] == ["d", "c", "a", "b"]


def test_source_rows_name_the_pool_only_where_sources_clash(target_with: MakeTarget) -> None:
    sources = shares(("web", 1, 1), ("books", 1, 0), pool="one") + shares(("web", 1, 0), pool="two")
    assert {row.label for row in source_rows(target_with(sources=sources))} == {"one / web", "books", "two / web"}


def test_source_rows_have_no_share_of_nothing(target_with: MakeTarget) -> None:
    (row,) = source_rows(target_with(sources=shares(("a", 0, 0))))
    assert all(map(math.isnan, (row.pool_share, row.selected_share, row.ratio)))


def test_most_favoured_goes_by_points_not_by_ratio(target_with: MakeTarget) -> None:
    rows = source_rows(target_with(sources=shares(("tiny", 1, 1), ("large", 300, 60), ("rest", 699, 39))))
    assert max(rows, key=lambda row: row.ratio).label == "tiny"
    lead = most_favoured(rows)
    assert lead is not None
    assert lead.label == "large"


def test_most_favoured_is_none_where_mix_is_the_pools(target_with: MakeTarget) -> None:
    assert most_favoured(source_rows(target_with(sources=shares(("a", 300, 3), ("b", 700, 7))))) is None
    assert most_favoured(source_rows(target_with(sources=shares(("a", 10, 0), ("b", 20, 0))))) is None
    assert most_favoured([]) is None
