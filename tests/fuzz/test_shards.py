"""Shards and other Parquet files, and gradients from elsewhere, whatever their bytes: the rows that were written, or an error."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from counts import Count
from fuzzing import mutations, outcome, said, tries, values
from hypothesis import given
from samples import encoded_examples

from less_core.data.encoding import EncodedExample
from less_core.data.overlap.contamination import CopiedRow
from less_core.features.rows import Features
from less_core.files.parquet import parquet_writer
from less_core.storage.formats.copies import read_copies, write_copies
from less_core.storage.formats.examples import (
    RUN_INDEX_SCHEMA,
    iterate_run_index,
    read_example_counts,
    read_example_shard,
    verify_example_shard,
    write_example_shard,
    write_run_index,
)
from less_core.storage.formats.features import read_feature_rows, verify_feature_shard, write_feature_shard
from less_core.storage.formats.less_scripts import gradients_digest, has_norms, read_gradients
from less_core.storage.formats.selections import read_selected_ids, write_selected_ids
from less_core.storage.sharding import read_holdings

FINGERPRINT = "f" * 32
COUNT = 12
IDS = [f"{n * 7919:032x}" for n in range(COUNT)]


def features(dim: int) -> Features:
    """Features, or the inner products of exact influence, which are kept in the same form."""
    generator = torch.Generator().manual_seed(dim)
    return Features(
        example_ids=IDS,
        features=torch.randn(COUNT, dim, generator=generator),
        norms=torch.rand(COUNT, generator=generator),
        losses=torch.full((COUNT,), torch.nan),
        num_tokens=list(range(COUNT)),
        num_label_tokens=list(range(COUNT)),
        status=["ok", "no_label", "nonfinite"] * (COUNT // 3),
    )


def read_features(path: str) -> list[Any]:
    """Return all that a feature shard says, each number as its bytes are."""
    ids = verify_feature_shard(path, FINGERPRINT).to_pylist()
    out = []
    for rows in read_feature_rows(path):
        scales = rows.features.scales.tolist() if rows.features.scales is not None else []
        values = rows.features.values.numpy().tobytes()
        out += [rows.example_ids.to_pylist(), rows.features.storage, values, scales, rows.norms.tolist(), repr(rows.losses), rows.status]
    return [ids, *out]


def read_examples(path: str) -> list[Any]:
    verify_example_shard(path)
    return [read_example_shard(path, pa.array([e.example_id for e in encoded_examples()])), read_example_counts(path).to_pylist()]


def read_index(path: str) -> list[Any]:
    return [row for rows in iterate_run_index(path) for row in rows.to_pylist()]


def write_index(path: str) -> None:
    rows = [[f"{i:032x}", "p", "f.jsonl", i, 10 * i, "s", f"shard{i % 2}"] for i in range(COUNT)]
    write_run_index(path, pa.table([list(column) for column in zip(*rows, strict=True)], schema=RUN_INDEX_SCHEMA))


Read = Callable[[str], list[Any]]
KINDS: dict[str, tuple[Callable[[str], None], Read]] = {
    "float16": (lambda path: write_feature_shard(path, features(64), fingerprint=FINGERPRINT, dtype="float16"), read_features),
    "sign": (lambda path: write_feature_shard(path, features(128), fingerprint=FINGERPRINT, dtype="sign"), read_features),
    "int8": (lambda path: write_feature_shard(path, features(64), fingerprint=FINGERPRINT, dtype="int8"), read_features),
    "influence": (lambda path: write_feature_shard(path, features(3), fingerprint=FINGERPRINT, dtype="float32"), read_features),
    "examples": (lambda path: write_example_shard(path, encoded_examples()), read_examples),
    "index": (write_index, read_index),
    "copies": (lambda path: write_copies(path, [CopiedRow(IDS[0], "f", 2**40, "t", 1, 0.5)] * 3), read_copies),
    "selected": (lambda path: write_selected_ids(path, IDS), read_selected_ids),
}


@given(data=st.data())
@tries(60)
def _mutated(counts: Counter[str], file: Path, whole: bytes, read: Read, before: list[Any], data: st.DataObject) -> None:
    file.write_bytes(data.draw(mutations(whole)))
    found = outcome(counts, lambda: read(str(file)), str(file))
    assert found is None or found == before


@pytest.mark.parametrize("kind", KINDS)
def test_shards_of_changed_bytes_are_the_rows_that_were_written_or_an_error(tmp_path: Path, count: Count, kind: str) -> None:
    counts: Counter[str] = Counter()
    write, read = KINDS[kind]
    file = tmp_path / "s.parquet"
    write(str(file))
    _mutated(counts, file, file.read_bytes(), read, read(str(file)))
    count(**counts)


COLUMNS = [
    "example_id",
    "features",
    "scale",
    "norm",
    "loss",
    "status",
    "num_tokens",
    "num_label_tokens",
    "input_ids",
    "label_mask",
    "truncated",
]
TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), said),
    (pa.large_string(), said),
    (pa.binary(), st.binary(max_size=4)),
    (pa.binary(8), st.binary(min_size=8, max_size=8)),
    (pa.int32(), st.integers(-9, 9)),
    (pa.int64(), st.integers(-9, 9)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.bool_(), st.booleans()),
    (pa.list_(pa.int32()), st.lists(st.integers(0, 9), max_size=3)),
    (pa.list_(pa.bool_()), st.lists(st.booleans(), max_size=3)),
    (pa.dictionary(pa.int32(), pa.string()), said),
    (pa.null(), st.none()),
]
forms = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "dtype": st.sampled_from(["sign", "float32", "int8"]),
        "dim": st.sampled_from([8, 64, 2]),
        "fingerprint": st.just(FINGERPRINT),
    }
)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Columns that a shard has, of any types, with what makes a table a shard of features, or something like it."""
    rows = draw(st.integers(0, 3))
    columns = {}
    for name in draw(st.sampled_from([COLUMNS]) | st.lists(st.sampled_from(COLUMNS), unique=True)):
        kind, inner = draw(st.sampled_from(TYPES))
        columns[name] = pa.array([draw(inner | st.none()) for _ in range(rows)], kind)
    form = draw(forms | values)
    return pa.table(columns).replace_schema_metadata({"less": json.dumps(form)})


@given(table=tables())
@tries(60)
def _other(counts: Counter[str], file: Path, table: pa.Table) -> None:
    with parquet_writer(str(file), table.schema) as writer:
        writer.write_table(table)
    for read in (read_features, read_examples, read_index, read_copies):
        assert outcome(counts, lambda read=read: read(str(file)), str(file)) is None
    ids = outcome(counts, lambda: read_selected_ids(str(file)), str(file))
    assert ids is None or ids == table["example_id"].to_pylist()


def test_shards_of_other_columns_are_an_error(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _other(counts, tmp_path / "s.parquet")
    count(**counts)


HOLED: list[tuple[str, Read]] = [("float16", read_features), ("sign", read_features), ("examples", read_examples), ("copies", read_copies)]


@pytest.mark.parametrize(("kind", "read"), HOLED)
def test_shards_with_a_null_in_any_column_are_an_error(tmp_path: Path, count: Count, kind: str, read: Read) -> None:
    counts: Counter[str] = Counter()
    file = tmp_path / "s.parquet"
    KINDS[kind][0](str(file))
    table = pq.read_table(file)
    for place, name in enumerate(table.column_names):
        holed = table.set_column(place, table.schema.field(name), pa.array([None, *table[name].to_pylist()[1:]], table[name].type))
        with parquet_writer(str(file), holed.schema) as writer:
            writer.write_table(holed)
        assert outcome(counts, lambda: read(str(file)), str(file), name) is None
    count(**counts)


@given(data=st.data())
@tries(60)
def _held(counts: Counter[str], folder: Path, wholes: dict[str, bytes], data: st.DataObject) -> None:
    for old in folder.iterdir():
        old.unlink()
    for name, whole in wholes.items():
        (folder / name).write_bytes(whole)
    (folder / "b.parquet").write_bytes(data.draw(mutations(wholes["b.parquet"])))
    held = outcome(counts, lambda: read_holdings(str(folder)))
    assert held is not None
    files = {row["example_id"]: Path(row["file"]).name for row in held.to_pylist()}
    assert {e: f for e, f in files.items() if f == "a.parquet"} == dict.fromkeys(IDS[:6], "a.parquet")
    assert {e for e, f in files.items() if f == "b.parquet"} in (set(), set(IDS[6:]))
    assert {path.name.removesuffix(".corrupt") for path in folder.iterdir()} == set(wholes)


def test_shards_of_changed_bytes_count_as_whole_or_are_set_aside_and_the_others_stay(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    for name, ids in (("a.parquet", IDS[:6]), ("b.parquet", IDS[6:])):
        examples = [EncodedExample(example_id, [1, 2], [False, True], truncated=False) for example_id in ids]
        write_example_shard(str(tmp_path / "made" / name), examples)
    (tmp_path / "held").mkdir()
    _held(counts, tmp_path / "held", {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()})
    count(**counts)


ROWS = torch.randn(20, 16, generator=torch.Generator().manual_seed(0)).half()


@given(data=st.data(), zipped=st.booleans(), name=st.sampled_from(["all_unormalized.pt", "all_orig.pt", "grads-20.pt"]))
@tries(100)
def _gradients(counts: Counter[str], folder: Path, data: st.DataObject, zipped: bool, name: str) -> None:
    for old in folder.iterdir():
        old.unlink()
    torch.save(ROWS, folder / name, _use_new_zipfile_serialization=zipped)
    (folder / name).write_bytes(data.draw(mutations((folder / name).read_bytes())))
    found = outcome(counts, lambda: read_gradients(str(folder)), str(folder / name))
    assert len(gradients_digest(str(folder))) == 32
    assert has_norms(str(folder)) == (name != "all_orig.pt")
    if found is not None:
        assert torch.equal(found.nan_to_num(7), torch.load(folder / name, weights_only=True).nan_to_num(7))
        assert found.is_floating_point()
        assert found.dim() == 2


def test_gradients_of_changed_bytes_are_what_torch_reads_in_them_or_an_error(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _gradients(counts, tmp_path)
    count(**counts)


others = st.sampled_from(
    [
        ROWS[0],
        ROWS[:0],
        ROWS.long(),
        ROWS.bool(),
        ROWS.to(torch.complex64),
        ROWS.float().to_sparse(),
        ROWS.to("meta"),
        ROWS.T,
        ROWS[:1].expand(20, 16),
        torch.quantize_per_tensor(ROWS.float(), 0.1, 0, torch.qint8),
        torch.full((20, 16), torch.inf),
        torch.nn.Parameter(ROWS.float()),
        {"a": ROWS},
        [ROWS],
    ]
)


@given(value=others | values)
@tries(60)
def _valued(counts: Counter[str], file: Path, value: Any) -> None:
    torch.save(value, file)
    found = outcome(counts, lambda: read_gradients(str(file)), str(file))
    if found is not None:
        assert torch.equal(found, value)
        assert torch.cat([found[:2], found[2:]]).float().shape == found.shape  # as a run takes it apart


def test_gradients_that_are_no_matrix_of_floats_are_an_error(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _valued(counts, tmp_path / "grads-20.pt")
    count(**counts)
