"""The copies found in a pool, there and back."""

import fsspec
import pyarrow as pa
import pytest

from less_core.data.overlap.contamination import CopiedRow
from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.parquet import parquet_writer
from less_core.storage.formats.copies import SCHEMA, read_copies, write_copies

COPIES = [
    CopiedRow("b" * 32, "part-1.jsonl", 2**40, "gsm8k", 8, 1.0),
    CopiedRow("a" * 32, "日本/ü .jsonl", 0, "mmlu", 1, 13 / 36),
    CopiedRow("b" * 32, "part-1.jsonl", 3, "gsm8k", 8, 0.5),
]


@pytest.mark.parametrize("copies", [COPIES, COPIES[:1], []], ids=["three", "one", "none"])
def test_copies_round_trip_in_order(folder: str, copies: list[CopiedRow]) -> None:
    write_copies(f"{folder}/copies/p.parquet", copies)
    assert read_copies(f"{folder}/copies/p.parquet") == copies


def test_copies_replace_those_of_a_run_before(folder: str) -> None:
    for copies in (COPIES, COPIES[1:]):
        write_copies(f"{folder}/p.parquet", copies)
    assert read_copies(f"{folder}/p.parquet") == COPIES[1:]


def test_copies_that_are_missing_say_so(folder: str) -> None:
    with pytest.raises(MissingArtifactError, match=r"p\.parquet"):
        read_copies(f"{folder}/p.parquet")


def test_copies_in_a_torn_file_are_corrupt(folder: str) -> None:
    write_copies(f"{folder}/p.parquet", COPIES)
    with fsspec.open(f"{folder}/p.parquet", "rb") as file:
        content = file.read()
    for length in (0, 4, len(content) // 2, len(content) - 1):
        with fsspec.open(f"{folder}/p.parquet", "wb") as file:
            file.write(content[:length])
        with pytest.raises(CorruptArtifactError, match=r"p\.parquet"):
            read_copies(f"{folder}/p.parquet")


def test_copies_without_one_of_their_columns_are_corrupt(folder: str) -> None:
    schema = SCHEMA.remove(SCHEMA.get_field_index("share"))
    with parquet_writer(f"{folder}/p.parquet", schema) as writer:
        writer.write_table(pa.Table.from_pylist([], schema=schema))
    with pytest.raises(CorruptArtifactError, match=r"p\.parquet: expected columns"):
        read_copies(f"{folder}/p.parquet")
