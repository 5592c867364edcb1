"""Parquet files that are whole or not there, and verified when they are read."""

import errno
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.parquet import parquet_reader, parquet_writer, read_columns
from less_core.files.whole import exists

TABLE = pa.table(
    {
        "text": pa.array(["a", None, "ü" * 40] * 200),
        "number": pa.array(np.arange(600)),
        "lists": pa.array([[1, 2], [], [3]] * 200, pa.list_(pa.int32())),
        "kind": pa.array(["x", "y", None] * 200).dictionary_encode(),
    }
).replace_schema_metadata({"less": "some metadata"})


def write(path: str, table: pa.Table = TABLE) -> None:
    with parquet_writer(path, table.schema, compression="zstd") as writer:
        writer.write_table(table, row_group_size=150)


def write_half(path: str) -> None:
    with parquet_writer(path, TABLE.schema) as writer:
        writer.write_table(TABLE)
        raise RuntimeError


def test_parquet_round_trips_every_kind_of_column_and_the_metadata(folder: str) -> None:
    path = f"{folder}/a.parquet"
    write(path)
    read = read_columns(path, TABLE.schema.names)
    assert read.schema.equals(TABLE.schema)
    assert read.schema.metadata == TABLE.schema.metadata
    assert read.to_pylist() == TABLE.to_pylist()
    assert read_columns(path, ["kind"]).column_names == ["kind"]
    with parquet_reader(path) as file:
        assert file.num_row_groups == 4


def test_parquet_round_trips_no_rows_at_all(folder: str) -> None:
    write(f"{folder}/a.parquet", TABLE.slice(0, 0))
    assert read_columns(f"{folder}/a.parquet", TABLE.schema.names).num_rows == 0


def test_parquet_has_a_checksum_on_every_page(tmp_path: Path) -> None:
    write(str(tmp_path / "a.parquet"), TABLE.select(["number"]))
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        column = file.metadata.row_group(0).column(0)
    last = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1
    content[last] ^= 1
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(CorruptArtifactError):
        read_columns(str(tmp_path / "a.parquet"), ["number"])


def test_parquet_that_was_not_written_to_its_end_is_not_there(folder: str) -> None:
    path = f"{folder}/a.parquet"
    with pytest.raises(RuntimeError):
        write_half(path)
    assert not exists(path)
    file_system, inner = fsspec.core.url_to_fs(folder)
    assert file_system.find(inner) == []


def test_parquet_missing_file_and_missing_column_say_so(folder: str) -> None:
    with pytest.raises(MissingArtifactError, match=r"a.parquet"):
        read_columns(f"{folder}/a.parquet", ["text"])
    write(f"{folder}/a.parquet")
    with pytest.raises(CorruptArtifactError, match=r"a.parquet: expected columns"):
        read_columns(f"{folder}/a.parquet", ["text", "more"])


def test_parquet_of_another_program_is_a_corrupt_artifact(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"not Parquet at all")
    (tmp_path / "empty.parquet").write_bytes(b"")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "foreign.parquet", store_schema=False)
    for name in ("a", "empty", "foreign"):
        with pytest.raises(CorruptArtifactError, match=f"{name}.parquet"):
            read_columns(str(tmp_path / f"{name}.parquet"), ["text"])


def test_parquet_reader_lets_faults_of_the_system_through(tmp_path: Path) -> None:
    write(str(tmp_path / "a.parquet"))
    with pytest.raises(OSError, match="Input/output error") as caught, parquet_reader(str(tmp_path / "a.parquet")):
        raise OSError(errno.EIO, "Input/output error")
    assert not isinstance(caught.value, CorruptArtifactError)


def read_alone(path: str) -> pa.Table:
    return read_columns(path, ["id"])


def read_groups(path: str) -> pa.Table:
    with parquet_reader(path) as file:
        return pa.concat_tables([file.read_row_group(group) for group in range(file.num_row_groups)])


@pytest.mark.slow
@pytest.mark.parametrize("read", [read_alone, read_groups])
def test_parquet_footer_with_any_flipped_bit_is_detected_or_read_as_before(tmp_path: Path, read: Callable[[str], pa.Table]) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"id": [f"id{i:03d}" for i in range(300)], "score": pa.array(range(300), pa.float32())})
    write(str(path), table.replace_schema_metadata({"less": '{"dim": 64}'}))
    content, before = path.read_bytes(), read(str(path))
    footer = range(len(content) - 8 - int.from_bytes(content[-8:-4], "little"), len(content))
    detected = 0
    for place in footer:
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            try:
                after = read(str(path))
            except CorruptArtifactError:
                detected += 1
            else:
                assert after.equals(before, check_metadata=True), (place, bit)
    assert detected > len(footer)
