"""The index of a run: each distinct example once, the first place wins, draws and shards do not depend on order."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from less_core.data import index as module
from less_core.data.index import MESSAGES_KEPT, SCHEMA, PoolIndex, cut, distinct, draw, index_pool
from less_core.data.pools import open_rows
from less_core.data.rows.shapes import to_example


def rows_of(numbers: list[int]) -> list[dict[str, object]]:
    return [{"prompt": f"q{n}", "completion": "a", "id": place} for place, n in enumerate(numbers)]


def index(tmp_path: Path, name: str, lines: list[str], *, skip: bool = False) -> PoolIndex:
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return index_pool(name, open_rows(str(path)), "auto", skip_bad_rows=skip)


def table(name: str, ids: list[str]) -> pa.Table:
    places = list(range(len(ids)))
    same = {"pool": [name] * len(ids), "file": [""] * len(ids), "source": [name] * len(ids)}
    columns = {"example_id": ids, "index": places, "offset": places} | same
    return pa.table(columns, schema=SCHEMA)


def test_index_notes_id_place_and_source_of_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 4)  # so that rows fill several batches and part of one
    rows = rows_of(list(range(10)))
    rows[1]["dataset"], rows[2]["source"] = "d", "s"
    rows[3] |= {"dataset": "", "source": 7}
    rows[4] |= {"dataset": "half \ud800", "source": "s"}
    found = index(tmp_path, "p", [json.dumps(row) for row in rows])
    assert found.table.schema.equals(SCHEMA)
    assert found.table["example_id"].to_pylist() == [to_example(row).example_id for row in rows]
    assert found.table["index"].to_pylist() == list(range(10))
    assert found.table["source"].to_pylist() == ["p", "d", "s", "p", "half ?", *["p"] * 5]
    source = open_rows(str(tmp_path / "p.jsonl"))
    assert [json.loads(source.read("p.jsonl", offset)) for offset in found.table["offset"].to_pylist()] == rows
    assert (found.rows, found.skipped, found.bad_rows) == (10, 0, [])


def test_index_counts_all_skipped_rows_and_keeps_the_first_messages(tmp_path: Path) -> None:
    lines = ["bad"] * (MESSAGES_KEPT + 5) + [json.dumps(rows_of([1])[0])] + ["{}"]
    found = index(tmp_path, "p", lines, skip=True)
    assert (found.rows, found.skipped, found.table.num_rows) == (MESSAGES_KEPT + 7, MESSAGES_KEPT + 6, 1)
    assert len(found.bad_rows) == MESSAGES_KEPT
    assert "p.jsonl, line 1:" in found.bad_rows[0]


def test_distinct_keeps_the_first_of_equal_examples_within_and_across_pools(tmp_path: Path) -> None:
    one = index(tmp_path, "one", [json.dumps(row) for row in rows_of([1, 2, 1, 3])]).table
    two = index(tmp_path, "two", [json.dumps(row) for row in rows_of([4, 3, 4, 1])]).table
    first, second = distinct([one, two])
    assert first["index"].to_pylist() == [0, 1, 3]
    assert second["index"].to_pylist() == [0]
    assert second["pool"].to_pylist() == ["two"]


IDS = st.lists(st.integers(0, 8).map(str), max_size=12)


@given(st.lists(IDS, max_size=4))
def test_distinct_equals_a_literal_loop(pools: list[list[str]]) -> None:
    seen: set[str] = set()
    expected = []
    for number, ids in enumerate(pools):
        kept = [(str(number), place) for place, id_ in enumerate(ids) if not (id_ in seen or seen.add(id_))]
        expected.append(kept)
    tables = distinct([table(str(number), ids) for number, ids in enumerate(pools)])
    assert [list(zip(t["pool"].to_pylist(), t["index"].to_pylist(), strict=True)) for t in tables] == expected
    assert all(t.schema.equals(SCHEMA) for t in tables)


UNIQUE = st.lists(st.integers(0, 99).map(str), unique=True, max_size=15)


@settings(deadline=None)
@given(ids=UNIQUE, count=st.integers(0, 16), data=st.data())
def test_draw_does_not_depend_on_order_and_keeps_it(ids: list[str], count: int, data: st.DataObject) -> None:
    turned = data.draw(st.permutations(ids))
    drawn = draw(table("p", ids), count, purpose="test")["example_id"].to_pylist()
    assert len(drawn) == (min(count, len(ids)) if count else len(ids))
    assert drawn == [id_ for id_ in ids if id_ in drawn]
    assert set(draw(table("p", turned), count, purpose="test")["example_id"].to_pylist()) == set(drawn)
    if count:
        assert set(draw(table("p", ids), count - 1, purpose="test")["example_id"].to_pylist()) <= set(drawn) or count == 1


def test_draw_depends_on_purpose_and_seed_and_is_even() -> None:
    whole = table("p", [f"{i:03d}" for i in range(400)])
    sets = [frozenset(draw(whole, 100, purpose=p, seed=s)["example_id"].to_pylist()) for p, s in [("a", 0), ("a", 1), ("b", 0)]]
    assert len(set(sets)) == 3
    for drawn in sets:
        assert 30 < sum(id_ < "200" for id_ in drawn) < 70
    assert 5 < len(sets[0] & sets[1]) < 50


@given(ids=UNIQUE, size=st.integers(1, 6), data=st.data())
def test_cut_gives_each_id_once_in_full_lists_whatever_the_order(ids: list[str], size: int, data: st.DataObject) -> None:
    lists = list(cut(pa.chunked_array([ids], pa.string()), size))
    assert [id_ for part in lists for id_ in part] == sorted(ids)
    assert all(len(part) == size for part in lists[:-1])
    assert all(part for part in lists)
    turned = data.draw(st.permutations(ids))
    half = len(ids) // 2
    assert list(cut(pa.chunked_array([turned[:half], turned[half:]], pa.string()), size)) == lists
