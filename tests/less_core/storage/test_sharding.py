"""The anti-join: what the store has stays where it is, what is missing gets the same new shards every time."""

import logging
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from less_core.data.encoding import EncodedExample
from less_core.files.fingerprint import fingerprint_ids
from less_core.files.parquet import parquet_writer
from less_core.storage.formats.examples import write_example_shard
from less_core.storage.sharding import HOLDINGS, assign_shards, read_holdings

IDS = st.lists(st.integers(0, 60).map(lambda n: f"id{n:02d}"), unique=True, max_size=30)
SIZES = st.integers(1, 7)
NOTHING = HOLDINGS.empty_table()


def chunked(ids: list[str]) -> pa.ChunkedArray:
    half = len(ids) // 2
    return pa.chunked_array([ids[:half], ids[half:]], pa.string())


def assign(ids: list[str], held: dict[str, str], size: int) -> dict[str, str]:
    """Shards by example; `held` gives the shard of examples in the store."""
    holdings = pa.table({"example_id": list(held), "file": [f"s3://b.x/store/{shard}.parquet" for shard in held.values()]}, schema=HOLDINGS)
    shards = assign_shards(chunked(ids), holdings, size).to_pylist()
    assert len(shards) == len(ids)
    return dict(zip(ids, shards, strict=True))


def written(assigned: dict[str, str], shards: list[str]) -> dict[str, str]:
    return {example: shard for example, shard in assigned.items() if shard in shards}


@given(ids=IDS, size=SIZES, data=st.data())
def test_new_shards_hold_at_most_size_and_are_named_by_their_ids_whatever_the_order(ids: list[str], size: int, data: st.DataObject) -> None:
    assigned = assign(ids, {}, size)
    members = {shard: [e for e, s in assigned.items() if s == shard] for shard in set(assigned.values())}
    assert all(shard == fingerprint_ids(of) and len(of) <= size for shard, of in members.items())
    assert len(members) == -(-len(ids) // size)
    assert assign(data.draw(st.permutations(ids)), {}, size) == assigned


@given(ids=IDS, size=SIZES, data=st.data())
def test_stopped_run_finds_its_shards_and_makes_the_same_ones_of_the_rest(ids: list[str], size: int, data: st.DataObject) -> None:
    assigned = assign(ids, {}, size)
    shards = sorted(set(assigned.values()))
    done = data.draw(st.lists(st.sampled_from(shards), unique=True)) if shards else []
    assert assign(ids, written(assigned, done), size) == assigned


@given(ids=IDS, more=IDS, size=SIZES, other_size=SIZES)
def test_growth_only_adds_shards(ids: list[str], more: list[str], size: int, other_size: int) -> None:
    held = assign(ids, {}, size)
    grown = assign(sorted({*ids, *more}), held, other_size)
    assert {e: grown[e] for e in ids} == held
    new = {e: s for e, s in grown.items() if e not in held}
    assert not set(new.values()) & set(held.values())
    assert all(count <= other_size for count in Counter(new.values()).values())


def test_assign_shards_keeps_the_order_of_the_examples() -> None:
    holdings = pa.table({"example_id": ["b"], "file": ["/a/b.parquet/x.parquet"]}, schema=HOLDINGS)
    c, a = fingerprint_ids(["c"]), fingerprint_ids(["a"])
    assert assign_shards(chunked(["c", "b", "a"]), holdings, 1).to_pylist() == [c, "x", a]
    assert assign_shards(chunked([]), NOTHING, 1).to_pylist() == []


def shard(path: str, ids: list[str]) -> None:
    write_example_shard(path, [EncodedExample(example_id, [1, 2], [False, True], truncated=False) for example_id in ids])


def test_holdings_say_which_file_holds_an_example_and_choose_one_of_two(tmp_path: Path) -> None:
    folder = str(tmp_path / "shards")
    assert read_holdings(folder).equals(NOTHING)
    shard(f"{folder}/b.parquet", ["1", "2"])
    shard(f"{folder}/a.parquet", ["2", "3"])
    shard(f"{folder}/empty.parquet", [])
    found = read_holdings(folder).sort_by("example_id")
    assert found.to_pydict() == {"example_id": ["1", "2", "3"], "file": [f"{folder}/{name}.parquet" for name in "baa"]}
    assert found.schema.equals(HOLDINGS)


@pytest.mark.parametrize("damage", ["torn", "empty", "another form"])
def test_holdings_set_a_torn_file_aside_and_warn(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    for name in ("good", "bad"):
        shard(str(tmp_path / f"{name}.parquet"), [name])
    bad = tmp_path / "bad.parquet"
    if damage == "another form":
        table = pa.table({"something": [1]})
        with parquet_writer(str(bad), table.schema) as writer:
            writer.write_table(table)
    else:
        bad.write_bytes(bad.read_bytes()[: 0 if damage == "empty" else -9])
    left = bad.read_bytes()
    assert read_holdings(str(tmp_path), mend=False)["example_id"].to_pylist() == ["good"]
    assert bad.read_bytes() == left
    with caplog.at_level(logging.WARNING):
        assert read_holdings(str(tmp_path))["example_id"].to_pylist() == ["good"]
    assert f"Set aside as {bad}.corrupt" in caplog.text
    assert not bad.exists()
    assert Path(f"{bad}.corrupt").read_bytes() == left
