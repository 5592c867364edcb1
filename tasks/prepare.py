"""Looking at the model and the data before anything is computed: what is there, what is new."""

import pyarrow as pa

from less_core.config import PoolSettings, SelectSettings
from less_core.data.index import SCHEMA, distinct, draw, index_pool
from less_core.data.pools import open_pool, open_target
from less_core.data.targets import read_target
from less_core.inspection import inspect_model
from less_core.refs import ExamplesRef, ModelRef, PoolCounts, PoolRef
from less_core.sharding import assign_shards, read_holdings
from less_core.storage.examples import write_run_index
from less_core.storage.layout import Side, run_of, store_of
from less_core.storage.parquet import parquet_writer, read_columns
from tasks.stage_task import stage_task


@stage_task("model")
def find_model(settings: SelectSettings) -> ModelRef:
    """Find the model and look at it."""
    return inspect_model(settings)


@stage_task("read pool {pool.name}")
def read_pool(settings: SelectSettings, pool: PoolSettings) -> PoolRef:
    """Read a pool once: every row's example id and place, bad rows refused or counted."""
    index = index_pool(pool.name, open_pool(settings, pool.name), pool.format, skip_bad_rows=pool.on_bad_row == "skip")
    path = run_of(settings).pool_index(pool.name)
    with parquet_writer(path, SCHEMA, compression="zstd") as writer:
        writer.write_table(index.table)
    return PoolRef(name=pool.name, path=path, rows=index.rows, skipped=index.skipped, bad_rows=index.bad_rows)


@stage_task("plan pool shards")
def plan_pool(settings: SelectSettings, model: ModelRef, pools: list[PoolRef]) -> ExamplesRef:
    """Put the pools together, each distinct example once, and find for each its shard in the store or a new one."""
    tables = [read_columns(pool.path, SCHEMA.names) for pool in pools]
    once = distinct(tables)
    drawn = [draw(table, pool.sample, purpose="sample") for table, pool in zip(once, settings.pools, strict=True)]
    counts = [
        PoolCounts(name=p.name, duplicates=t.num_rows - o.num_rows, not_sampled=o.num_rows - d.num_rows, examples=d.num_rows)
        for p, t, o, d in zip(pools, tables, once, drawn, strict=True)
    ]
    return _plan(settings, model, "pool", pa.concat_tables(drawn), counts)


@stage_task("read targets")
def plan_targets(settings: SelectSettings, model: ModelRef) -> ExamplesRef:
    """Read every target and find a shard for each of its examples. A row's pool is its target, its source its subtask."""
    rows = []
    for name in [target.name for target in settings.targets]:
        target = read_target(name, open_target(settings, name))
        for place, (example, offset, subtask) in enumerate(zip(target.examples, target.offsets, target.subtasks, strict=True)):
            rows.append((example.example_id, name, place, offset, subtask))
    columns = list(zip(*rows, strict=True))
    table = pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
    return _plan(settings, model, "target", table, [])


def _plan(settings: SelectSettings, model: ModelRef, side: Side, table: pa.Table, counts: list[PoolCounts]) -> ExamplesRef:
    holdings = read_holdings(store_of(settings).example_shards(model.encoding))
    unique = table["example_id"].unique()
    shard_of = assign_shards(pa.chunked_array([unique]), holdings, settings.execution.shard_size)
    named = pa.table({"example_id": unique, "shard": shard_of})
    path = run_of(settings).index(side)
    shards = write_run_index(path, table.join(named, "example_id"))
    return ExamplesRef(side=side, path=path, encoding=model.encoding, shards=len(shards), examples=len(unique), pools=counts)
