"""The index of a run: which examples its pools hold and where, each distinct example once."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from less_core.data.example import Example
from less_core.data.pools import RowSource
from less_core.data.rows.files import Row
from less_core.data.rows.shapes import BadRowError, Shape, to_example
from less_core.errors import DataError
from less_core.files.fingerprint import fingerprint

SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("pool", pa.string()),
        ("file", pa.string()),  # its name within the pool
        ("index", pa.int64()),  # row in the file
        ("offset", pa.int64()),  # what the file's reader finds the row by
        ("source", pa.string()),  # the row's own `dataset` or `source`, else the pool's name
    ]
)
MESSAGES_KEPT = 20  # of skipped rows; the count is of all
BATCH = 10_000


@dataclass(frozen=True)
class PoolIndex:
    """The rows of one pool that hold an example, as a table of `SCHEMA`, and what was left out."""

    table: pa.Table
    rows: int
    skipped: int
    bad_rows: list[str]


def index_pool(
    name: str, source: RowSource, shape: Shape, *, skip_bad_rows: bool, watch: Callable[[Row, Example], None] | None = None
) -> PoolIndex:
    """Read every row once and note its example's id and place; `watch` is shown each example on the way.

    Raises:
        DataError: A row holds no example and bad rows are not skipped, or no row is left.
    """
    batches: list[pa.RecordBatch] = []
    columns: dict[str, list[object]] = {field.name: [] for field in SCHEMA}
    rows, skipped = 0, 0
    bad_rows: list[str] = []
    for row in source.rows():
        rows += 1
        try:
            example = parse_row(source, row, shape)
        except DataError as error:
            if not skip_bad_rows:
                raise
            skipped += 1
            if len(bad_rows) < MESSAGES_KEPT:
                bad_rows.append(str(error))
            continue
        if watch:
            watch(row, example)
        for field, value in zip(SCHEMA.names, (example.example_id, name, row.file, row.index, row.offset, _origin(row, name)), strict=True):
            columns[field].append(value)
        if len(columns["index"]) == BATCH:
            batches.append(pa.RecordBatch.from_pydict(columns, schema=SCHEMA))
            columns = {field.name: [] for field in SCHEMA}
    batches.append(pa.RecordBatch.from_pydict(columns, schema=SCHEMA))
    table = pa.Table.from_batches(batches, schema=SCHEMA)
    if not table.num_rows:
        got = f"{rows} rows, all bad; the first: {bad_rows[0]}" if bad_rows else "none"
        raise DataError(source.where, "at least one example", got, "Check that this is the right file.")
    return PoolIndex(table, rows, skipped, bad_rows)


def parse_row(source: RowSource, row: Row, shape: Shape) -> Example:
    """Return a row's example, or raise the `DataError` that names file and line."""
    if row.fault:
        raise DataError(source.place(row), "one JSON object", row.fault, _DO)
    try:
        return to_example(row.value, shape)
    except BadRowError as error:
        raise DataError(source.place(row), error.expected, error.got, f"{error.do} {_DO}") from None


_DO = "Mend the line, or set `on_bad_row: skip` for this pool."


@dataclass(frozen=True)
class Assembled:
    """The examples of some pools, each once, as a table of `SCHEMA`; and of each pool what was left out and what stayed."""

    table: pa.Table
    duplicates: list[int]
    not_sampled: list[int]
    examples: list[int]


def assemble(tables: list[pa.Table], samples: list[int]) -> Assembled:
    """Put pools together: each distinct example where it stands first, then as many of each pool's as its sample asks for (0: all)."""
    once = distinct(tables)
    drawn = [draw(table, sample, purpose="sample") for table, sample in zip(once, samples, strict=True)]
    return Assembled(
        table=pa.concat_tables(drawn),
        duplicates=[t.num_rows - o.num_rows for t, o in zip(tables, once, strict=True)],
        not_sampled=[o.num_rows - d.num_rows for o, d in zip(once, drawn, strict=True)],
        examples=[d.num_rows for d in drawn],
    )


def draw_warmup(table: pa.Table, fraction: float, seed: int) -> pa.Table:
    """Return the examples that a warmup on this share of the pool trains on; `table` has at least the column example_id."""
    return draw(table, math.ceil(fraction * table.num_rows), purpose="warmup", seed=seed)


def distinct(tables: list[pa.Table]) -> list[pa.Table]:
    """Return the tables without the rows whose example stands earlier, in the same or an earlier table."""
    seen: pa.Array = pa.array([], pa.string())
    kept = []
    for table in tables:
        numbered = table.select(["example_id"]).append_column("row", pa.array(range(table.num_rows), pa.int64()))
        first = numbered.group_by("example_id", use_threads=False).aggregate([("row", "min")])
        table = table.take(first["row_min"].sort())
        table = table.filter(pc.invert(pc.is_in(table["example_id"], value_set=seen)))
        seen = pa.chunked_array([*pa.chunked_array([seen]).chunks, *table["example_id"].chunks], pa.string()).combine_chunks()
        kept.append(table)
    return kept


def draw(table: pa.Table, count: int, *, purpose: str, seed: int = 0) -> pa.Table:
    """Return `count` rows drawn at random by the hash of (purpose, seed, example id), whatever their order; all where `count` is 0."""
    if not 0 < count < table.num_rows:
        return table
    keys = [fingerprint([purpose, seed, example_id]) for example_id in table["example_id"].to_pylist()]
    order = pc.sort_indices(pa.array(keys))
    return table.take(order[:count].sort())


def cut(ids: pa.ChunkedArray, size: int) -> Iterator[list[str]]:
    """Yield lists of at most `size` ids, in the order of the ids, which is random in content and the same however pools are ordered."""
    ordered = ids.take(pc.sort_indices(ids))
    for start in range(0, len(ordered), size):
        yield ordered.slice(start, size).to_pylist()


def _origin(row: Row, pool: str) -> str:
    for key in ("dataset", "source"):
        value = row.value.get(key) if isinstance(row.value, dict) else None
        if isinstance(value, str) and value:
            return value.encode(errors="replace").decode()
    return pool
