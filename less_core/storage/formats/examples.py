"""Shards of encoded examples, and the index of a run that says which shard holds what."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from less_core.data.encoding import EncodedExample
from less_core.data.index import SCHEMA as INDEX_SCHEMA
from less_core.files.parquet import check_schema, parquet_reader, parquet_writer, read_columns

SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("input_ids", pa.list_(pa.int32())),
        ("label_mask", pa.list_(pa.bool_())),
        ("num_tokens", pa.int32()),
        ("num_label_tokens", pa.int32()),
        ("truncated", pa.bool_()),
    ]
)
RUN_INDEX_SCHEMA = INDEX_SCHEMA.append(pa.field("shard", pa.string()))


class RowPlace(NamedTuple):
    """Where a row stands: what `RowSource.read` takes, and its pool."""

    pool: str
    file: str
    offset: int


COUNTS = pa.schema([SCHEMA.field(name) for name in ("example_id", "num_tokens", "num_label_tokens", "truncated")])


def write_example_shard(path: str, examples: Sequence[EncodedExample]) -> None:
    """Write encoded examples to a shard."""
    rows = {
        "example_id": [e.example_id for e in examples],
        "input_ids": [e.input_ids for e in examples],
        "label_mask": [e.label_mask for e in examples],
        "num_tokens": [len(e.input_ids) for e in examples],
        "num_label_tokens": [e.num_label_tokens for e in examples],
        "truncated": [e.truncated for e in examples],
    }
    with parquet_writer(path, SCHEMA, compression="zstd") as writer:
        writer.write_table(pa.Table.from_pydict(rows, schema=SCHEMA))


def read_example_shard(path: str, example_ids: pa.Array) -> list[EncodedExample]:
    """Return those of a shard's examples that are asked for, in the shard's order."""
    table = read_columns(path, SCHEMA)
    table = table.filter(pc.is_in(table["example_id"], value_set=example_ids))
    rows = table.select(["example_id", "input_ids", "label_mask", "truncated"]).to_pylist()
    return [EncodedExample(**row) for row in rows]


def verify_example_shard(path: str) -> pa.Table:
    """Read a shard whole; return its ids with token counts.

    Raises:
        MissingArtifactError, CorruptArtifactError: As `parquet_reader`.
    """
    return read_columns(path, SCHEMA).select(COUNTS.names)


def read_example_counts(path: str) -> pa.Table:
    """Return a shard's ids with token counts, without the tokens."""
    return read_columns(path, COUNTS)


def count_tokens(counts: pa.Table, example_ids: pa.Array) -> int:
    """Return the tokens of some of a shard's examples. Examples without a label are never computed and count nothing."""
    wanted = pc.and_(pc.is_in(counts["example_id"], value_set=example_ids), pc.greater(counts["num_label_tokens"], 0))
    return pc.sum(counts["num_tokens"].filter(wanted)).as_py() or 0


def write_run_index(path: str, table: pa.Table) -> list[str]:
    """Write a run's index, one row group a shard, ids sorted within; return the shards in order."""
    table = table.sort_by([("shard", "ascending"), ("example_id", "ascending")])
    runs = pc.run_end_encode(table["shard"].combine_chunks())
    with parquet_writer(path, RUN_INDEX_SCHEMA, compression="zstd") as writer:
        start = 0
        for stop in runs.run_ends.to_pylist():
            writer.write_table(table.slice(start, stop - start), row_group_size=stop - start)
            start = stop
    shards: list[str] = runs.values.to_pylist()
    return shards


def read_run_index(path: str, number: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the index's rows of shard `number`."""
    with _open_run_index(path) as file:
        return file.read_row_group(number, columns=columns)


def iterate_run_index(path: str) -> Iterator[pa.Table]:
    """Yield the index's rows shard by shard."""
    with _open_run_index(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


@contextmanager
def _open_run_index(path: str) -> Iterator[pq.ParquetFile]:
    with parquet_reader(path) as file:
        check_schema(path, file.schema_arrow, RUN_INDEX_SCHEMA)
        yield file


def find_rows(path: str, example_ids: Sequence[str]) -> dict[str, RowPlace]:
    """Return where the row of each example stands, reading a run's index shard by shard."""
    wanted = pa.array(example_ids, pa.string())
    found: dict[str, RowPlace] = {}
    for index in iterate_run_index(path):
        rows = index.filter(pc.is_in(index["example_id"], value_set=wanted))
        found |= {row["example_id"]: RowPlace(row["pool"], row["file"], row["offset"]) for row in rows.to_pylist()}
    return found
