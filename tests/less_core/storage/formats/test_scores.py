"""Scores files: a row an example, null where there is no score."""

import pyarrow as pa
import pytest
import torch

from less_core.data.index import SCHEMA as INDEX_SCHEMA
from less_core.files.parquet import parquet_writer
from less_core.storage.formats.scores import iterate_scores, score_schema, score_table

SUBTASKS = ["even", "odd"]
SCORES = torch.tensor([[0.5, -0.25], [torch.nan, torch.nan], [-1.0, -0.5]])


def index(ids: list[str]) -> pa.Table:
    same = {"pool": ["p"] * len(ids), "file": ["p.jsonl"] * len(ids), "source": ["src"] * len(ids)}
    rows = {"example_id": ids, "index": range(len(ids)), "offset": range(len(ids))} | same
    return pa.table(rows, schema=INDEX_SCHEMA)


def table(*, columns: bool, prefix: str = "") -> pa.Table:
    ids = [f"{prefix}{letter}" for letter in "abc"]
    return score_table(index(ids), pa.array([3, 4, 5], pa.int32()), ["ok", "no_label", "ok"], SCORES, SUBTASKS, columns=columns)


def test_score_is_the_maximum_across_subtasks_and_null_where_the_status_is_not_ok() -> None:
    assert table(columns=False).to_pydict() == {
        "example_id": ["a", "b", "c"],
        "pool": ["p"] * 3,
        "file": ["p.jsonl"] * 3,
        "index": [0, 1, 2],
        "score": [0.5, None, -0.5],
        "best_subtask": ["even", None, "odd"],
        "source": ["src"] * 3,
        "num_tokens": [3, 4, 5],
        "status": ["ok", "no_label", "ok"],
    }


def test_score_table_keeps_a_column_a_subtask_on_request() -> None:
    kept = table(columns=True)
    assert kept["subtask/even"].to_pylist() == [0.5, None, -1.0]
    assert kept["subtask/odd"].to_pylist() == [-0.25, None, -0.5]
    assert kept.schema.equals(score_schema(SUBTASKS))
    assert table(columns=False).schema.equals(score_schema([]))


@pytest.mark.parametrize("columns", [True, False])
def test_scores_round_trip_a_row_group_at_a_time(folder: str, columns: bool) -> None:
    groups = [table(columns=columns, prefix=prefix) for prefix in ("x", "y")]
    with parquet_writer(f"{folder}/t.parquet", groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group)
    assert [group.to_pylist() for group in iterate_scores(f"{folder}/t.parquet")] == [group.to_pylist() for group in groups]
    some = list(iterate_scores(f"{folder}/t.parquet", ["example_id", "score"]))
    assert [group.column_names for group in some] == [["example_id", "score"]] * 2
