"""Looking at the model and the data before anything is computed: what is there, what is new."""

import pyarrow as pa

from less_core.data.index import SCHEMA, assemble, index_pool
from less_core.data.overlap.contamination import Contamination
from less_core.data.pools import open_pool
from less_core.data.targets import load_target
from less_core.files.parquet import parquet_writer, read_columns
from less_core.refs import ExamplesRef, ModelRef, PoolCounts, PoolRef, Side
from less_core.settings.select import PoolSettings, SelectSettings
from less_core.storage.formats.copies import write_copies
from less_core.storage.formats.examples import write_run_index
from less_core.storage.layout import Version, store_of
from less_core.storage.sharding import assign_shards, read_holdings
from tasks.stage_task import stage_task


@stage_task("read pool {pool.name}")
def read_pool(settings: SelectSettings, version: Version, pool: PoolSettings) -> PoolRef:
    """Read a pool once: every row's example id and place, bad rows refused or counted, copies of target examples noted."""
    watched = [] if settings.selection.contaminated == "ignore" else [load_target(settings, target) for target in settings.targets]
    copies = Contamination(watched)
    source, skip = open_pool(settings, pool.name), pool.on_bad_row == "skip"
    index = index_pool(pool.name, source, pool.format, skip_bad_rows=skip, watch=copies.look)
    path = version.pool_index(pool.name)
    with parquet_writer(path, SCHEMA, compression="zstd") as writer:
        writer.write_table(index.table)
    write_copies(version.pool_copies(pool.name), copies.found)
    return PoolRef(name=pool.name, path=path, rows=index.rows, skipped=index.skipped, bad_rows=index.bad_rows, copies=len(copies.found))


@stage_task("plan pool shards")
def plan_pool(settings: SelectSettings, version: Version, model: ModelRef, pools: list[PoolRef]) -> ExamplesRef:
    """Put the pools together, each distinct example once, and find for each its shard in the store or a new one."""
    all_ = assemble([read_columns(pool.path, SCHEMA) for pool in pools], [pool.sample for pool in settings.pools])
    left_out = zip(pools, all_.duplicates, all_.not_sampled, all_.examples, strict=True)
    counts = [PoolCounts(name=p.name, rows=p.rows, duplicates=d, not_sampled=n, examples=e) for p, d, n, e in left_out]
    return _plan(settings, version, model, "pool", all_.table, counts)


@stage_task("read targets")
def plan_targets(settings: SelectSettings, version: Version, model: ModelRef) -> ExamplesRef:
    """Read every target and find a shard for each of its examples. A row's pool is its target, its source its subtask."""
    rows = []
    for target in [load_target(settings, target) for target in settings.targets]:
        parts = zip(target.examples, target.files, target.offsets, target.subtasks, strict=True)
        for place, (example, file, offset, subtask) in enumerate(parts):
            rows.append((example.example_id, target.name, file, place, offset, subtask))
    columns = list(zip(*rows, strict=True))
    table = pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
    return _plan(settings, version, model, "target", table, [])


def _plan(
    settings: SelectSettings, version: Version, model: ModelRef, side: Side, table: pa.Table, counts: list[PoolCounts]
) -> ExamplesRef:
    holdings = read_holdings(store_of(settings).example_shards(model.encoding))
    unique = table["example_id"].unique()
    shard_of = assign_shards(pa.chunked_array([unique]), holdings, settings.execution.shard_size)
    named = pa.table({"example_id": unique, "shard": shard_of})
    path = version.index(side)
    shards = write_run_index(path, table.join(named, "example_id"))
    return ExamplesRef(side=side, path=path, encoding=model.encoding, shards=len(shards), examples=len(unique), pools=counts)
