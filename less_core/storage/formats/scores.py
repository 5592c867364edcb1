"""Files of scores: a row an example, a row group a shard."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from less_core.files.parquet import parquet_reader
from less_core.method.influence import best_subtask

SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("pool", pa.dictionary(pa.int32(), pa.string())),
        ("file", pa.dictionary(pa.int32(), pa.string())),  # its name within the pool
        ("index", pa.int64()),  # row in the file
        ("score", pa.float32()),  # null where the status is not ok
        ("best_subtask", pa.dictionary(pa.int32(), pa.string())),
        ("source", pa.dictionary(pa.int32(), pa.string())),
        ("num_tokens", pa.int32()),
        ("status", pa.dictionary(pa.int32(), pa.string())),
    ]
)


def score_schema(subtasks: Sequence[str]) -> pa.Schema:
    """Return the schema with a column for each subtask given."""
    schema = SCHEMA
    for subtask in subtasks:
        schema = schema.append(pa.field(f"subtask/{subtask}", pa.float32()))
    return schema


def score_table(
    index: pa.Table, num_tokens: pa.Array, status: Sequence[str], scores: Tensor, subtasks: Sequence[str], *, columns: bool
) -> pa.Table:
    """Return the rows of a scores file for one shard.

    Args:
        index: The shard's rows of the run's index: example_id, pool, file, index, source.
        num_tokens: [examples].
        status: [examples]; where it is not ok, score and best subtask are null.
        scores: float32 [examples, subtasks].
        subtasks: Their names.
        columns: Whether every subtask's score is kept.
    """
    usable = pa.array([s == "ok" for s in status])
    best, subtask = best_subtask(scores.nan_to_num(nan=0.0))
    values: dict[str, Any] = {
        "example_id": index["example_id"],
        "pool": index["pool"].dictionary_encode(),
        "file": index["file"].dictionary_encode(),
        "index": index["index"],
        "score": pc.if_else(usable, pa.array(best.numpy()), None),
        "best_subtask": pc.if_else(usable, pa.array([subtasks[i] for i in subtask.tolist()], pa.string()), None).dictionary_encode(),
        "source": index["source"].dictionary_encode(),
        "num_tokens": num_tokens,
        "status": pa.array(status, pa.string()).dictionary_encode(),
    }
    if columns:
        values |= {f"subtask/{name}": pc.if_else(usable, pa.array(scores[:, i].numpy()), None) for i, name in enumerate(subtasks)}
    schema = score_schema(subtasks if columns else ())
    return pa.table(values).cast(schema)


def iterate_scores(path: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield a scores file a row group at a time, in order."""
    with parquet_reader(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)
