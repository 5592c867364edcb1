"""Encoded examples and the index of a run, there and back."""

import pyarrow as pa
import pytest

from less_core.data.encoding import EncodedExample
from less_core.data.index import SCHEMA as INDEX_SCHEMA
from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.parquet import parquet_writer
from less_core.storage.formats.examples import (
    RUN_INDEX_SCHEMA,
    find_rows,
    iterate_run_index,
    read_example_counts,
    read_example_shard,
    read_run_index,
    write_example_shard,
    write_run_index,
)

EXAMPLES = [
    EncodedExample("c", [5, 6, 7], [False, True, True], truncated=True),
    EncodedExample("a", [2**31 - 1], [True], truncated=False),
    EncodedExample("b", [], [], truncated=False),
]


def test_examples_round_trip_in_the_order_of_the_shard(folder: str) -> None:
    path = f"{folder}/s.parquet"
    write_example_shard(path, EXAMPLES)
    assert read_example_shard(path, pa.array(["a", "b", "c"])) == EXAMPLES
    assert read_example_shard(path, pa.array(["b", "c", "not there"])) == [EXAMPLES[0], EXAMPLES[2]]
    assert read_example_shard(path, pa.array([], pa.string())) == []


def test_examples_counts_leave_out_a_label_on_the_first_token(folder: str) -> None:
    write_example_shard(f"{folder}/s.parquet", EXAMPLES)
    assert read_example_counts(f"{folder}/s.parquet").to_pydict() == {
        "example_id": ["c", "a", "b"],
        "num_tokens": [3, 1, 0],
        "num_label_tokens": [2, 0, 0],
        "truncated": [True, False, False],
    }


def test_examples_missing_or_of_another_form_say_so(folder: str) -> None:
    with pytest.raises(MissingArtifactError):
        read_example_counts(f"{folder}/s.parquet")
    table = pa.table({"example_id": ["a"]})
    with parquet_writer(f"{folder}/s.parquet", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(CorruptArtifactError, match="expected columns"):
        read_example_shard(f"{folder}/s.parquet", pa.array(["a"]))


def run_index() -> pa.Table:
    rows = [
        ("e5", "p", "f", 4, 40, "src", "s2"),
        ("e1", "q", "g", 0, 0, "q", "s1"),
        ("e4", "p", "f", 3, 30, "ü", "s2"),
        ("e2", "p", "h", 1, 2**40, "p", "s1"),
        ("e3", "p", "f", 2, 20, "p", "s3"),
    ]
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(RUN_INDEX_SCHEMA.names)}, schema=RUN_INDEX_SCHEMA)


def test_run_index_has_a_row_group_a_shard_with_its_ids_sorted(folder: str) -> None:
    path = f"{folder}/index.parquet"
    assert write_run_index(path, run_index()) == ["s1", "s2", "s3"]
    groups = list(iterate_run_index(path))
    assert [group["example_id"].to_pylist() for group in groups] == [["e1", "e2"], ["e4", "e5"], ["e3"]]
    assert [group["shard"].to_pylist() for group in groups] == [["s1", "s1"], ["s2", "s2"], ["s3"]]
    whole = pa.concat_tables(groups)
    assert whole.schema.equals(RUN_INDEX_SCHEMA)
    assert whole.sort_by("example_id").equals(run_index().sort_by("example_id"))
    assert read_run_index(path, 1).equals(groups[1])
    assert read_run_index(path, 1, ["example_id"]).column_names == ["example_id"]


def test_run_index_keeps_a_large_shard_in_one_row_group(folder: str) -> None:
    count = 70_000  # more than the largest `shard_size`
    table = pa.table(
        {
            "example_id": pa.array([f"{i:06d}" for i in range(count)]),
            "pool": pa.array(["p"] * count),
            "file": pa.array(["f"] * count),
            "index": pa.array(range(count), pa.int64()),
            "offset": pa.array(range(count), pa.int64()),
            "source": pa.array(["p"] * count),
            "shard": pa.array(["s"] * count),
        },
        schema=RUN_INDEX_SCHEMA,
    )
    write_run_index(f"{folder}/index.parquet", table)
    assert [group.num_rows for group in iterate_run_index(f"{folder}/index.parquet")] == [count]


def test_find_rows_gives_pool_file_and_offset_of_those_asked_for(folder: str) -> None:
    write_run_index(f"{folder}/index.parquet", run_index())
    assert find_rows(f"{folder}/index.parquet", ["e2", "e5", "nowhere"]) == {"e2": ("p", "h", 2**40), "e5": ("p", "f", 40)}
    assert find_rows(f"{folder}/index.parquet", []) == {}


def test_run_index_is_the_pool_index_and_a_shard() -> None:
    assert RUN_INDEX_SCHEMA.names == [*INDEX_SCHEMA.names, "shard"]
