"""Two versions compared, against loops that are too slow to use."""

import itertools
import math
from collections import Counter
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from less_core.changes.records import PoolChange, SelectionChange, TargetChange
from less_core.changes.versions import compare_pools, compare_selection, compare_settings, compare_targets, moves


class Scored(NamedTuple):
    example_id: str
    pool: str
    file: str
    index: int
    score: float | None


COLUMNS = ("example_id", "pool", "file", "index", "score")
TYPES = (pa.string(), pa.string(), pa.string(), pa.int64(), pa.float32())


@st.composite
def versions(draw: st.DrawFn) -> list[Scored]:
    """Some of a few examples, in any order, in files of pools, with rows between them left out; few scores, so that ties are common."""
    numbers = draw(st.lists(st.integers(0, 11), unique=True, max_size=10))
    where = [draw(st.sampled_from([("p", "1"), ("p", "2"), ("q", "1")])) for _ in numbers]
    index = sorted(draw(st.sets(st.integers(0, 20), min_size=len(numbers), max_size=len(numbers))))
    scores = [draw(st.one_of(st.none(), st.integers(-2, 2).map(float))) for _ in numbers]
    rows = [Scored(f"e{n:02d}", *w, i, s) for n, w, i, s in zip(numbers, where, index, scores, strict=True)]
    return draw(st.permutations(rows))


@st.composite
def successive_versions(draw: st.DrawFn) -> tuple[list[Scored], list[Scored]]:
    """A version, and one where some of its rows are gone, some are other examples, and some moved within their file."""
    before = draw(versions())
    now = []
    for row in before:
        example_id = draw(st.sampled_from([row.example_id, row.example_id, f"new-{row.example_id}", ""]))
        if example_id:
            now.append(row._replace(example_id=example_id, index=row.index + draw(st.sampled_from([0, 0, 0, 100]))))
    return before, now


def table(rows: list[Scored]) -> pa.Table:
    """As a scores file gives it: in row groups, each with dictionaries of its own."""
    arrays = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True) if rows else [[]] * 5, TYPES, strict=True)]
    parts = [pa.table(dict(zip(COLUMNS, arrays, strict=True))).slice(low, size) for low, size in ((0, 4), (4, 100))]
    for part, (place, name) in itertools.product(range(2), ((1, "pool"), (2, "file"))):
        parts[part] = parts[part].set_column(place, name, parts[part][name].combine_chunks().dictionary_encode())
    return pa.concat_tables(parts)


def runs(rows: list[Scored], kept: set[str]) -> Counter[tuple[str, str, str, int]]:
    """For each changed row: pool, file, the unchanged row before it, and the distance from it."""
    found: Counter[tuple[str, str, str, int]] = Counter()
    for pool, file in {(row.pool, row.file) for row in rows}:
        anchor, distance = "start", 0
        for row in sorted((r for r in rows if (r.pool, r.file) == (pool, file)), key=lambda r: r.index):
            if row.example_id in kept:
                anchor, distance = row.example_id, 0
            else:
                distance += 1
                found[pool, file, anchor, distance] += 1
    return found


def literal_pools(before: list[Scored], now: list[Scored]) -> list[PoolChange]:
    kept = {row.example_id for row in before} & {row.example_id for row in now}
    changes = []
    for name in dict.fromkeys(row.pool for row in [*now, *before]):
        old, new = ([row for row in rows if row.pool == name] for rows in (before, now))
        edited = (runs(old, kept) & runs(new, kept)).total()
        added, removed = (sum(row.example_id not in kept for row in rows) - edited for rows in (new, old))
        changes.append(PoolChange(name=name, before=len(old), now=len(new), added=added, removed=removed, edited=edited))
    return changes


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.tuples(versions(), versions()), successive_versions()))
def test_pools_have_what_was_added_removed_and_edited(pair: tuple[list[Scored], list[Scored]]) -> None:
    before, now = pair
    assert compare_pools(table(before), table(now)) == literal_pools(before, now)


def in_file(pool: str, ids: str) -> list[Scored]:
    return [Scored(letter, pool, "1", index, 0.0) for index, letter in enumerate(ids)]


def test_edited_examples_are_neither_added_nor_removed() -> None:
    (change,) = compare_pools(table(in_file("p", "abcd")), table(in_file("p", "abXdYZ")))
    assert change == PoolChange(name="p", before=4, now=6, added=2, removed=0, edited=1)


def test_example_that_moves_to_another_pool_is_neither_added_nor_removed() -> None:
    changes = compare_pools(table(in_file("p", "ab")), table([*in_file("q", "b"), *in_file("p", "a")]))
    assert changes == [
        PoolChange(name="q", before=0, now=1, added=0, removed=0, edited=0),
        PoolChange(name="p", before=2, now=1, added=0, removed=0, edited=0),
    ]


def targets(*rows: tuple[str, str, str]) -> pa.Table:
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(("pool", "example_id", "source"))})


def test_targets_are_listed_where_their_rows_differ_in_more_than_order() -> None:
    before = targets(("same", "a", "x"), ("same", "b", "x"), ("gone", "a", "x"), ("moved", "a", "x"), ("twice", "a", "x"))
    now = targets(("new", "a", "x"), ("moved", "a", "y"), ("twice", "a", "x"), ("twice", "a", "x"), ("same", "b", "x"), ("same", "a", "x"))
    assert compare_targets(before, now) == [
        TargetChange(name="new", what="added", examples_before=0, examples_now=1),
        TargetChange(name="moved", what="changed", examples_before=1, examples_now=1),
        TargetChange(name="twice", what="changed", examples_before=1, examples_now=2),
        TargetChange(name="gone", what="removed", examples_before=1, examples_now=0),
    ]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, []),
        ({"a": {"b": {"c": 1.5}}}, {"a": {"b": {"c": None}}}, [("a.b.c", "1.5", "null")]),
        ({"a": 1}, {"b": "ü"}, [("b", "not set", '"ü"'), ("a", "1", "not set")]),
        ({"a": {}}, {"a": {"b": [1, {"x": 2}]}}, [("a.b", "not set", '[1,{"x":2}]')]),
        ({"a": [1, 2]}, {"a": [2, 1]}, [("a", "[1,2]", "[2,1]")]),
        ({"a": {"b": 1}}, {"a": 3}, [("a", '{"b":1}', "3")]),
        (
            {"pools": [{"name": "p", "path": "1"}, {"name": "q", "path": "2"}]},
            {"pools": [{"name": "q", "path": "3"}, {"name": "r"}]},
            [("pools.q.path", '"2"', '"3"'), ("pools.r", "not set", '{"name":"r"}'), ("pools.p", '{"name":"p","path":"1"}', "not set")],
        ),
        ({"pools": []}, {"pools": [{"name": "r"}]}, [("pools.r", "not set", '{"name":"r"}')]),
        ({"a": ({"b": 1, "c": 2},)}, {"a": [{"c": 2, "b": 1}]}, []),  # the same JSON
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [("a", '[{"b":1}]', '[{"b":2}]')]),
    ],
)
def test_settings_differ_by_key(before: dict[str, Any], now: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert [(change.key, change.before, change.now) for change in compare_settings(before, now)] == expected


def test_long_settings_are_cut_so_that_they_still_differ() -> None:
    start = "/data/" + "x" * 80
    (change,) = compare_settings({"a": f"{start}/before/pool.jsonl"}, {"a": f"{start}/now/pool.jsonl"})
    assert max(len(change.before), len(change.now)) <= 60
    assert (change.before[-18:], change.now[-15:]) == ('/before/pool.jsonl"'[-18:], '/now/pool.jsonl"'[-15:])
    (change,) = compare_settings({"a": "b" * 90}, {"a": "c" * 90})
    assert (change.before, change.now) == ('"' + "b" * 58 + "…", '"' + "c" * 58 + "…")


def ranked(rows: list[Scored]) -> dict[str, int]:
    order = sorted((row for row in rows if row.score is not None), key=lambda row: (-(row.score or 0), row.example_id))
    return {row.example_id: rank for rank, row in enumerate(order, start=1)}


def literal_moves(before: list[Scored], now: list[Scored], before_ids: list[str], now_ids: list[str]) -> list[dict[str, Any]]:
    old, new = ({row.example_id: row for row in rows} for rows in (before, now))
    old_ranks, new_ranks = ranked(before), ranked(now)
    found = []
    for change, ids in (("in", [e for e in now_ids if e not in before_ids]), ("out", [e for e in before_ids if e not in now_ids])):
        for e in ids:
            why = ("rose" if e in old else "new") if change == "in" else ("fell" if e in new else "removed")
            place = new.get(e) or old[e]
            row = {"example_id": e, "change": change, "why": why, "pool": place.pool, "file": place.file, "index": place.index}
            row |= {"rank_before": old_ranks.get(e), "rank_now": new_ranks.get(e)}
            row |= {"score_before": old[e].score if e in old else None, "score_now": new[e].score if e in new else None}
            found.append(row)
    return found


def best(rows: list[Scored], count: int) -> list[str]:
    return list(ranked(rows))[:count]


@settings(deadline=None)
@given(versions(), versions(), st.integers(0, 6), st.integers(0, 6))
def test_moves_are_what_one_selection_has_and_the_other_has_not(before: list[Scored], now: list[Scored], many: int, more: int) -> None:
    before_ids, now_ids = best(before, many), best(now, more)
    moved = moves(table(before), table(now), before_ids, now_ids)
    assert moved.to_pylist() == literal_moves(before, now, before_ids, now_ids)
    in_ranks, out_ranks = (
        [row[rank] for row in moved.to_pylist() if row["change"] == c] for c, rank in (("in", "rank_now"), ("out", "rank_before"))
    )
    assert (in_ranks, out_ranks) == (sorted(in_ranks), sorted(out_ranks))
    assert (moved.schema.field("rank_now").type, moved.schema.field("pool").type) == (pa.int64(), pa.string())


def select(before: list[Scored], now: list[Scored], many: int, more: int, shown: int = 2) -> SelectionChange:
    tables, ids = (table(before), table(now)), (best(before, many), best(now, more))
    return compare_selection("t", *tables, *ids, moves(*tables, *ids), shown)


@settings(deadline=None)
@given(versions(), versions(), st.integers(0, 6), st.integers(0, 6))
def test_selection_counts_what_moved_and_how_far(before: list[Scored], now: list[Scored], many: int, more: int) -> None:
    change = select(before, now, many, more)
    old, new = set(best(before, many)), set(best(now, more))
    known_before, known_now = {row.example_id for row in before}, {row.example_id for row in now}
    assert (change.before, change.now, change.kept) == (len(old), len(new), len(old & new))
    assert (change.came_in, change.came_in_new) == (len(new - old), len(new - known_before))
    assert (change.went_out, change.went_out_removed) == (len(old - new), len(old - known_now))
    assert change.jaccard == (len(old & new) / len(old | new) if old | new else 1)
    shifts = [abs(ranked(now)[e] - ranked(before)[e]) for e in old & new]
    assert change.mean_rank_shift == (pytest.approx(sum(shifts) / len(shifts)) if shifts else None)
    assert change.common == len(set(ranked(before)) & set(ranked(now)))


@settings(deadline=None)
@given(versions(), versions())
def test_drift_is_of_the_examples_scored_in_both_versions_by_the_pool_they_are_in_now(before: list[Scored], now: list[Scored]) -> None:
    old = {row.example_id: row.score for row in before}
    expected: dict[str, Any] = {}
    for pool in dict.fromkeys(row.pool for row in now):
        rows = [(old[row.example_id], row.score) for row in now if row.pool == pool and row.example_id in old]
        pairs = [(b, n) for b, n in rows if b is not None and n is not None]
        if pairs:
            means = [sum(column) / len(pairs) for column in zip(*pairs, strict=True)]
            rms = math.sqrt(sum((n - b) ** 2 for b, n in pairs) / len(pairs))
            expected[pool] = (len(pairs), *(pytest.approx(value) for value in (*means, rms)))
    drift = select(before, now, 2, 2).drift
    assert {d.pool: (d.examples, d.mean_before, d.mean_now, d.rms) for d in drift} == expected
    assert [d.pool for d in drift] == list(expected)


def version(**scores: float | None) -> list[Scored]:
    return [Scored(name, "p", "1", index, score) for index, (name, score) in enumerate(scores.items())]


def test_selection_compares_scores_by_example_and_not_by_row() -> None:
    change = select(version(a=3.0, b=2.0, c=1.0, gone=9.0, bad=None), version(bad=4.0, c=10.0, new=5.0, b=20.0, a=30.0), 2, 2)
    assert (change.common, change.spearman) == (3, pytest.approx(1))
    assert select(version(a=1.0, b=2.0), version(a=2.0, b=1.0), 1, 1).spearman == pytest.approx(-1)
    assert select(version(a=1.0, b=2.0), version(a=1.0, b=1.0), 1, 1).spearman is None


def test_selection_shows_the_best_moves_each_way_without_text() -> None:
    before = version(a=9.0, b=8.0, c=7.0, d=1.0, e=None)
    now = version(d=9.0, e=8.0, f=7.0, a=1.0, b=0.0)
    change = select(before, now, 3, 3)
    assert [(move.example_id, move.why, move.rank_before, move.rank_now, move.text) for move in change.moved_in] == [
        ("d", "rose", 4, 1, ""),
        ("e", "rose", None, 2, ""),
    ]
    assert [(move.example_id, move.why, move.score_before, move.score_now) for move in change.moved_out] == [
        ("a", "fell", 9.0, 1.0),
        ("b", "fell", 8.0, 0.0),
    ]
    assert (change.came_in, change.came_in_new, change.went_out, change.went_out_removed) == (3, 1, 3, 1)


def test_selections_of_nothing_are_equal() -> None:
    change = select([], [], 0, 0)
    assert (change.jaccard, change.spearman, change.mean_rank_shift, change.drift) == (1.0, None, None, [])
