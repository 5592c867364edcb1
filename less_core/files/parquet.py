"""Parquet files that are whole or not there, and that are verified when they are read."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.file_systems import asking
from less_core.files.whole import write_whole

# Of a remote file: a shard of usual size is one request.
BLOCK = 8 << 20  # bytes
BLOCKS = 4  # kept in memory
_DO = "Run again: the file is set aside and made anew."


@contextmanager
def parquet_writer(path: str, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Open a Parquet file for row groups, with a checksum on every page; it appears when the block ends without an error."""
    with write_whole(path) as file, pq.ParquetWriter(file, schema, write_page_checksum=True, **options) as writer:
        yield writer


@contextmanager
def parquet_reader(path: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; every page that is read is verified.

    Raises:
        MissingArtifactError: It is not there.
        CorruptArtifactError: It is torn, or a page does not match its checksum.
    """
    try:
        with _open(path) as source, pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=True) as file:
            _check_footer(path, file)
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # Arrow reports a failed checksum as a plain OSError; one with an errno, or of a kind, is the system's and not the file's fault.
        if isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError):
            raise
        raise CorruptArtifactError(path, "a whole Parquet file", str(error).partition("\n")[0][:200].rstrip("."), _DO) from error


def _open(path: str) -> Any:
    """Open a file for Arrow: mapped where it is local, which saves a copy of every page; elsewhere in as few requests as will do."""
    file_system, inner = fsspec.core.url_to_fs(path)
    try:
        with asking(path):
            if isinstance(file_system, LocalFileSystem):
                return pa.memory_map(inner)
            return file_system.open(inner, "rb", block_size=BLOCK, cache_type="blockcache", cache_options={"maxblocks": BLOCKS})
    except FileNotFoundError:
        raise MissingArtifactError(path, "a Parquet file", "nothing there", "Run the stage that makes it again.") from None


def read_columns(path: str, columns: Sequence[str] | pa.Schema) -> pa.Table:
    """Return some columns of a file, verified; of a schema their types, too, and that no value is null.

    Raises:
        MissingArtifactError, CorruptArtifactError: As `parquet_reader`.
    """
    names = columns.names if isinstance(columns, pa.Schema) else list(columns)
    with parquet_reader(path) as file:
        missing = set(names) - set(file.schema_arrow.names)
        if missing:
            raise CorruptArtifactError(path, f"columns {sorted(names)}", f"{file.schema_arrow.names}", _DO)
        if isinstance(columns, pa.Schema):
            check_schema(path, pa.schema([file.schema_arrow.field(name) for name in names]), columns)
        table = file.read(columns=names)
        if table.num_rows != file.metadata.num_rows:  # a column that the footer misplaces is read as empty
            raise CorruptArtifactError(path, f"{file.metadata.num_rows} rows", f"{table.num_rows}", _DO)
    if isinstance(columns, pa.Schema):
        check_no_nulls(path, table)
        table = table.select(names)
    return table


def check_schema(path: str, found: pa.Schema, expected: pa.Schema) -> None:
    """Raise a `CorruptArtifactError` where columns are others or of other types."""
    if not found.equals(expected):
        raise CorruptArtifactError(path, f"columns {_types(expected)}", _types(found), _DO)


def check_no_nulls(path: str, table: pa.Table) -> None:
    """Raise a `CorruptArtifactError` where a value is missing."""
    holes = [name for name, column in zip(table.column_names, table.columns, strict=True) if column.null_count]
    if holes:
        raise CorruptArtifactError(path, "a value in every row", f"nulls in {holes}", _DO)


def _types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _check_footer(path: str, file: pq.ParquetFile) -> None:
    """Compare what the footer says twice, because no checksum covers it: columns and their types, and the number of rows."""
    footer = file.metadata
    said = dict(footer.metadata or {})
    try:
        written = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(said.pop(b"ARROW:schema"))))
    except (KeyError, ValueError) as error:
        raise CorruptArtifactError(path, "a footer with its Arrow schema", f"{error!r}"[:200], _DO) from None
    if not file.schema_arrow.equals(written) or said != (written.metadata or {}):
        raise CorruptArtifactError(path, "a footer whose two schemas agree", "two that differ", _DO)
    rows = sum(footer.row_group(group).num_rows for group in range(footer.num_row_groups))
    if rows != footer.num_rows:
        raise CorruptArtifactError(path, f"{footer.num_rows} rows", f"row groups of {rows}", _DO)
