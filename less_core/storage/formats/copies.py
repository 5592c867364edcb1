"""Which rows of a pool copy a target example."""

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from less_core.data.overlap.contamination import CopiedRow
from less_core.files.parquet import parquet_writer, read_columns

SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("file", pa.string()),
        ("index", pa.int64()),
        ("target", pa.string()),
        ("target_example", pa.int64()),
        ("share", pa.float64()),
    ]
)


def write_copies(path: str, copies: Sequence[CopiedRow]) -> None:
    """Write the copies found in a pool."""
    with parquet_writer(path, SCHEMA, compression="zstd") as writer:
        writer.write_table(pa.Table.from_pylist([asdict(copy) for copy in copies], schema=SCHEMA))


def read_copies(path: str) -> list[CopiedRow]:
    """Return the copies found in a pool.

    Raises:
        MissingArtifactError, CorruptArtifactError: As `read_columns`.
    """
    return [CopiedRow(**row) for row in read_columns(path, SCHEMA).to_pylist()]
