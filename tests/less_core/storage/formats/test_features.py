"""Feature shards: round trip, and that no damage to a file is ever read as features."""

import random
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.features.rows import Features
from less_core.files.parquet import parquet_reader
from less_core.files.whole import list_files
from less_core.method.quantization import pack
from less_core.storage.formats import features as module
from less_core.storage.formats.features import read_feature_rows, verify_feature_shard, write_feature_shard
from less_core.storage.sharding import read_holdings

COUNT, DIM = 100, 64
FINGERPRINT = "f" * 32
Read = tuple[list[str], torch.Tensor, torch.Tensor, torch.Tensor, list[str]]


def some_features(count: int = COUNT) -> Features:
    generator = torch.Generator().manual_seed(0)
    status = ["no_label" if i % 7 == 0 else "nonfinite" if i % 11 == 0 else "ok" for i in range(count)]
    norms = torch.rand(count, generator=generator)
    norms[::11] = torch.nan
    return Features(
        example_ids=[f"{i * 7919:032x}" for i in range(count)],
        features=torch.nn.functional.normalize(torch.randn(count, DIM, generator=generator), dim=1),
        norms=norms,
        losses=torch.rand(count, generator=generator),
        num_tokens=list(range(count)),
        num_label_tokens=list(range(count)),
        status=status,
    )


def read(path: str) -> Read:
    ids = verify_feature_shard(path, FINGERPRINT).to_pylist()
    rows = list(read_feature_rows(path))
    assert [e for r in rows for e in r.example_ids.to_pylist()] == ids
    tensors = [torch.cat([r.features.values for r in rows]), *(torch.cat([getattr(r, name) for r in rows]) for name in ("norms", "losses"))]
    return ids, tensors[0], tensors[1], tensors[2], [s for r in rows for s in r.status]


def same(one: Read, other: Read) -> bool:
    tensors = all(
        torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0)) and a.dtype == b.dtype for a, b in zip(one[1:4], other[1:4], strict=True)
    )
    return tensors and one[0] == other[0] and one[4] == other[4]


@pytest.fixture
def shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shard of four row groups."""
    monkeypatch.setattr(module, "ROW_GROUP", 30)
    path = tmp_path / "s.parquet"
    write_feature_shard(str(path), some_features(), fingerprint=FINGERPRINT, dtype="float16")
    return path


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("group", [1024, 30])
def test_features_round_trip(folder: str, dtype: str, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROW_GROUP", group)
    path, features = f"{folder}/s.parquet", some_features()
    write_feature_shard(path, features, fingerprint=FINGERPRINT, dtype=dtype)
    stored = features.features.to(getattr(torch, dtype))
    assert same(read(path), (features.example_ids, stored, features.norms, features.losses, features.status))
    assert len(list(read_feature_rows(path))) == (1 if group == 1024 else 4)


def test_features_are_little_endian_rows_of_bytes_with_their_form_in_the_metadata(shard: Path) -> None:
    table = pq.read_table(shard)
    first = some_features().features[0].half().numpy().astype("<f2").tobytes()
    assert table["features"][0].as_py() == first
    assert table["num_tokens"].to_pylist() == list(range(COUNT))
    assert b'"dtype": "float16"' in table.schema.metadata[b"less"]


@pytest.mark.parametrize("dtype", ["int8", "sign"])
@pytest.mark.parametrize("group", [1024, 30])
def test_packed_features_round_trip_with_their_scales(folder: str, dtype: str, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROW_GROUP", group)
    path, features = f"{folder}/s.parquet", some_features()
    write_feature_shard(path, features, fingerprint=FINGERPRINT, dtype=dtype)
    expected = pack(features.features, dtype)
    rows = list(read_feature_rows(path))
    assert torch.equal(torch.cat([r.features.values for r in rows]), expected.values)
    assert torch.equal(torch.cat([r.features.scales for r in rows]), expected.scales)
    torch.testing.assert_close(torch.cat([r.features.floats() for r in rows]), expected.floats())
    width = DIM if dtype == "int8" else DIM // 8
    with parquet_reader(path) as file:
        assert file.schema_arrow.field("features").type == pa.binary(width)


def test_features_missing_shard_says_so(folder: str) -> None:
    with pytest.raises(MissingArtifactError, match=r"s.parquet"):
        list(read_feature_rows(f"{folder}/s.parquet"))


def test_features_of_another_fingerprint_do_not_verify(shard: Path) -> None:
    with pytest.raises(CorruptArtifactError, match=r"features of fingerprint e+"):
        verify_feature_shard(str(shard), "e" * 32)


def test_features_of_another_version_do_not_verify(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    for verify in (lambda: verify_feature_shard(str(shard), FINGERPRINT), lambda: list(read_feature_rows(str(shard)))):
        with pytest.raises(CorruptArtifactError, match="a shard of features"):
            verify()


def damages(content: bytes, seed: int) -> list[tuple[str, bytes]]:
    """Cuts at many lengths and flips at many places: the pages, and much of the footer, which no checksum covers."""
    rng = random.Random(seed)
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    out = [(f"cut at {n}", content[:n]) for n in [0, 3, 4, footer - 1, footer, len(content) - 8, len(content) - 1]]
    out += [(f"cut at {n}", content[:n]) for n in rng.sample(range(len(content)), 10)]
    places = [*range(0, len(content), len(content) // 60), *rng.sample(range(footer, len(content)), 240)]
    for place in places:
        bits = rng.choice([0xFF, 1 << rng.randrange(8)])
        out.append((f"{bits:#x} at {place}", content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]))
    return out


def test_features_in_a_damaged_file_are_never_read_as_others(shard: Path) -> None:
    before, content = read(str(shard)), shard.read_bytes()
    detected = 0
    for what, damaged in damages(content, seed=0):
        shard.write_bytes(damaged)
        try:
            after = read(str(shard))
        except CorruptArtifactError:
            detected += 1
        else:
            assert same(before, after), what
    assert detected > 150


def flip_last_byte_of(column: str) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        with pq.ParquetFile(path) as file:
            place = file.schema_arrow.names.index(column)
            chunk = file.metadata.row_group(2).column(place)
            end = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size
        content = bytearray(path.read_bytes())
        content[end - 1] ^= 0x10
        path.write_bytes(content)

    return flip


@pytest.mark.parametrize("column", ["example_id", "features", "norm", "loss", "num_tokens", "num_label_tokens", "status"])
def test_features_flipped_byte_in_any_column_of_a_later_row_group_does_not_verify(shard: Path, column: str) -> None:
    flip_last_byte_of(column)(shard)
    with pytest.raises(CorruptArtifactError, match="a whole Parquet file"):
        verify_feature_shard(str(shard), FINGERPRINT)


def test_features_in_a_torn_file_are_set_aside_and_the_rest_is_found(folder: str) -> None:
    for name in ("a", "b"):
        write_feature_shard(f"{folder}/{name}.parquet", some_features(5), fingerprint=FINGERPRINT, dtype="float32")
    with fsspec.open(f"{folder}/a.parquet", "rb") as file:
        content = file.read()
    with fsspec.open(f"{folder}/a.parquet", "wb") as file:
        file.write(content[: len(content) // 2])
    holdings = read_holdings(folder)
    assert holdings.to_pydict() == {"example_id": some_features(5).example_ids, "file": [f"{folder}/b.parquet"] * 5}
    assert list_files(folder, ".parquet") == [f"{folder}/b.parquet"]
    assert list_files(folder, ".corrupt") == [f"{folder}/a.parquet.corrupt"]
