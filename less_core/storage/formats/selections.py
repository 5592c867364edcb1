"""The chosen examples of a target, best first: their rows as they stand in the pools, and their ids."""

from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import pyarrow as pa

from less_core.errors import CorruptArtifactError
from less_core.files.fingerprint import fingerprint_bytes
from less_core.files.parquet import parquet_writer, read_columns
from less_core.files.whole import read_bytes, write_whole

SCHEMA = pa.schema([("example_id", pa.string())])


def write_selected_rows(path: str, rows: Iterable[bytes]) -> str:
    """Write a selection's rows, a line each, best first; return the address of the file's content."""
    with write_whole(path) as file:
        return fingerprint_bytes(_written(rows, file))


def _written(rows: Iterable[bytes], file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file as they are written to it."""
    for row in rows:
        line = row + b"\n"
        file.write(line)
        yield line


def verify_selected_rows(path: str, address: str) -> None:
    """Read a selection's rows and compare them with the address they had when they were written.

    Raises:
        MissingArtifactError: The file is not there.
        CorruptArtifactError: Its content is another.
    """
    found = fingerprint_bytes([read_bytes(path, made_by="a selection")])
    if found != address:
        raise CorruptArtifactError(path, f"content {address}", found, "Run `less-flow run` or `reselect` to make it anew.")


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
