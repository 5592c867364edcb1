"""The chosen examples of a target by their ids, best first."""

from collections.abc import Sequence

import pyarrow as pa

from less_core.storage.parquet import parquet_writer, read_columns

SCHEMA = pa.schema([("example_id", pa.string())])


def write_selected_ids(path: str, example_ids: Sequence[str]) -> None:
    """Write a selection's ids, best first."""
    with parquet_writer(path, SCHEMA, compression="zstd") as writer:
        writer.write_table(pa.table({"example_id": pa.array(example_ids, pa.string())}, schema=SCHEMA))


def read_selected_ids(path: str) -> list[str]:
    """Return a selection's ids, best first.

    Raises:
        MissingArtifactError, CorruptArtifactError: As `read_columns`.
    """
    ids: list[str] = read_columns(path, SCHEMA)["example_id"].to_pylist()
    return ids
