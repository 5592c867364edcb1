"""Which shard holds what: the anti-join between what a run needs and what the store has."""

import pyarrow as pa
import pyarrow.compute as pc

from less_core.data.index import cut
from less_core.files.fingerprint import fingerprint_ids
from less_core.files.parquet import read_columns
from less_core.files.whole import list_files
from less_core.storage.damaged import whole_or_none

_IDS = pa.schema([("example_id", pa.string())])
HOLDINGS = _IDS.append(pa.field("file", pa.string()))


def read_holdings(folder: str, *, mend: bool = True) -> pa.Table:
    """Return which example stands in which file of a folder of shards, each example once.

    A torn shard, or one that is gone by now, counts for nothing; see `damaged.py` for it and for `mend`.
    """
    ids, files = [], []
    for path in list_files(folder, ".parquet"):
        column = whole_or_none(_read_ids, path, mend=mend)
        if column is None:
            continue
        ids.append(column)
        files.append(pa.DictionaryArray.from_arrays(pa.array([0] * len(column), pa.int32()), [path]).cast(pa.string()))
    table = pa.table({"example_id": pa.chunked_array(ids, pa.string()), "file": pa.chunked_array(files, pa.string())}, schema=HOLDINGS)
    # Two runs at once may have computed the same example; any one copy will do, and the choice must not waver.
    return table.group_by("example_id").aggregate([("file", "min")]).rename_columns(HOLDINGS.names)


def _read_ids(path: str) -> pa.Array:
    return read_columns(path, _IDS)["example_id"].combine_chunks()


def assign_shards(example_ids: pa.ChunkedArray, holdings: pa.Table, size: int) -> pa.ChunkedArray:
    """Return the shard of each distinct example: the one in the store, or a new one of at most `size` examples.

    A new shard's name is the address of its set of ids, so a run that was stopped finds the shards it had already written and makes
    the same ones of the rest.
    """
    place = pc.index_in(example_ids, value_set=holdings["example_id"].combine_chunks())
    held = pc.replace_substring_regex(holdings["file"], r".*/|\.parquet$", "")
    shards = held.take(place)
    missing = example_ids.filter(pc.is_null(place))
    names: dict[str, str] = {}
    for ids in cut(missing, size):
        names |= dict.fromkeys(ids, fingerprint_ids(ids))
    return pa.chunked_array([[s or names[e] for e, s in zip(example_ids.to_pylist(), shards.to_pylist(), strict=True)]], pa.string())
