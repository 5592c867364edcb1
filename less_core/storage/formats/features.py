"""Shards of features: one Parquet file each, a row an example."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from less_core.errors import CorruptArtifactError
from less_core.features.rows import Features
from less_core.files.parquet import check_no_nulls, check_schema, parquet_reader, parquet_writer
from less_core.method.quantization import SCALED, Packed, pack

# Arrow's memory is read only, and so are the tensors made of it: nobody writes into a feature that was read.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

VERSION = 1  # of the file's form
DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4"), "int8": np.dtype("i1"), "sign": np.dtype("u1")}
ROW_GROUP = 1024  # examples read into memory at a time


@dataclass(frozen=True)
class FeatureRows:
    """Some rows of a shard. `features` are as they are stored and share memory with the file's pages."""

    example_ids: pa.ChunkedArray
    features: Packed
    norms: Tensor
    losses: Tensor
    status: list[str]


def write_feature_shard(path: str, features: Features, *, fingerprint: str, dtype: str) -> None:
    """Write features to a shard, as little-endian rows of bytes; dtype, dim and fingerprint stand in the schema's metadata.

    Of integers and signs, each row's scale is a column of its own.
    """
    count, dim = features.features.shape
    packed = pack(features.features, dtype)
    rows = packed.values.numpy().astype(DTYPES[dtype], copy=False)
    width = rows.shape[1] * rows.dtype.itemsize
    metadata = {"version": VERSION, "dtype": dtype, "dim": dim, "fingerprint": fingerprint}
    columns = {
        "example_id": pa.array(features.example_ids, pa.string()),
        "features": pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), count, [None, pa.py_buffer(rows.tobytes())]),
        **({"scale": pa.array(packed.scales.numpy(), pa.float32())} if packed.scales is not None else {}),
        "norm": pa.array(features.norms.numpy(), pa.float32()),
        "loss": pa.array(features.losses.numpy(), pa.float32()),
        "num_tokens": pa.array(features.num_tokens, pa.int32()),
        "num_label_tokens": pa.array(features.num_label_tokens, pa.int32()),
        "status": pa.array(features.status, pa.string()),
    }
    table = pa.table(columns, schema=_schema(dtype, width)).replace_schema_metadata({"less": json.dumps(metadata)})
    # Features are noise to a compressor and to a dictionary.
    with parquet_writer(
        path, table.schema, compression="none", use_dictionary=["status"], write_statistics=False, data_page_size=1 << 20
    ) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP)


def read_feature_rows(path: str) -> Iterator[FeatureRows]:
    """Yield a shard's rows, a row group at a time, verified.

    Raises:
        MissingArtifactError, CorruptArtifactError: As `parquet_reader`.
    """
    with parquet_reader(path) as file:
        dtype = _form(path, file.schema_arrow)
        for group in range(file.num_row_groups):
            scale = ["scale"] if dtype in SCALED else []
            table = file.read_row_group(group, columns=["example_id", "features", *scale, "norm", "loss", "status"])
            check_no_nulls(path, table)
            scales = torch.from_numpy(table["scale"].to_numpy().copy()) if scale else None
            yield FeatureRows(
                example_ids=table["example_id"],
                features=Packed(dtype, _tensor(table["features"], dtype), scales),
                norms=torch.from_numpy(table["norm"].to_numpy().copy()),
                losses=torch.from_numpy(table["loss"].to_numpy().copy()),
                status=table["status"].to_pylist(),
            )


def verify_feature_shard(path: str, fingerprint: str) -> pa.ChunkedArray:
    """Read a shard whole and return its example ids.

    Raises:
        CorruptArtifactError: A page does not verify, or the shard is of another fingerprint.
    """
    with parquet_reader(path) as file:
        _form(path, file.schema_arrow)
        found = json.loads(file.schema_arrow.metadata[b"less"]).get("fingerprint")
        if found != fingerprint:
            raise CorruptArtifactError(
                path, f"features of fingerprint {fingerprint}", str(found), "Run again: the shard is set aside and made anew."
            )
        ids: list[pa.Array] = []
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            check_no_nulls(path, table)
            ids += table["example_id"].chunks
    return pa.chunked_array(ids, pa.string())


def _form(path: str, schema: pa.Schema) -> str:
    """Return the dtype that the features are stored in."""
    try:
        metadata = json.loads(schema.metadata[b"less"])
        dtype: str = metadata["dtype"]
        width = metadata["dim"] // 8 if dtype == "sign" else metadata["dim"] * DTYPES[dtype].itemsize
        if metadata["version"] != VERSION:
            raise ValueError(f"version {metadata['version']}")
        check_schema(path, schema, _schema(dtype, width))
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptArtifactError(
            path, "a shard of features", f"{error!r}"[:200], "Run again: the file is set aside and made anew."
        ) from None
    return dtype


def _schema(dtype: str, width: int) -> pa.Schema:
    """Return a shard's columns; `width` is in bytes."""
    columns = [
        ("example_id", pa.string()),
        ("features", pa.binary(width)),
        ("scale", pa.float32()),
        ("norm", pa.float32()),
        ("loss", pa.float32()),
        ("num_tokens", pa.int32()),
        ("num_label_tokens", pa.int32()),
        ("status", pa.string()),
    ]
    return pa.schema([(name, kind) for name, kind in columns if name != "scale" or dtype in SCALED])


def _tensor(column: pa.ChunkedArray, dtype: str) -> Tensor:
    pieces = []
    for chunk in column.chunks:
        width = chunk.type.byte_width
        count = len(chunk) * width // DTYPES[dtype].itemsize
        values = np.frombuffer(chunk.buffers()[1], dtype=DTYPES[dtype], count=count, offset=chunk.offset * width)
        pieces.append(torch.from_numpy(values).view(len(chunk), width // DTYPES[dtype].itemsize))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)
