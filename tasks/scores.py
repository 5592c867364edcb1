"""What every method's scoring begins and ends with: the target's rows, and one file of scores a target."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

import pyarrow.compute as pc

from less_core.features.rows import NO_LABEL, NONFINITE
from less_core.features.target_rows import ScoredTarget, TargetRows, make_target_rows
from less_core.files.parquet import parquet_writer
from less_core.files.whole import size_of
from less_core.refs import ExamplesRef, InfluenceRef, ModelRef, PoolFlags, ScoresRef
from less_core.scoring.by_features import ShardScores
from less_core.settings.select import SelectSettings
from less_core.storage.formats.examples import iterate_run_index, read_example_counts
from less_core.storage.formats.scores import score_schema, score_table
from less_core.storage.layout import Version, store_of


def target_rows(settings: SelectSettings, targets: ExamplesRef) -> list[TargetRows]:
    """Return each target's rows in the order of its file.

    Where examples are selected for each target example in turn, each is a subtask of its own, named after its subtask and its place.
    """
    rows: dict[str, list[tuple[int, str, str]]] = {target.name: [] for target in settings.targets}
    for index in iterate_run_index(targets.path):
        for row in index.to_pylist():
            rows[row["pool"]].append((row["index"], row["example_id"], row["source"]))
    each = settings.rule == "round_robin_examples"
    return [
        make_target_rows(name, [row[1] for row in of_it], [row[2] for row in of_it], each=each)
        for name, of_it in ((name, sorted(found)) for name, found in rows.items())
    ]


def write_scores(
    settings: SelectSettings,
    version: Version,
    model: ModelRef,
    examples: ExamplesRef,
    targets: Sequence[ScoredTarget],
    shards: Iterable[ShardScores],
) -> InfluenceRef:
    """Write one file a target of the scores of every shard, in the order of the run's index."""
    store = store_of(settings)
    columns = settings.influence.subtask_columns or settings.rule != "top"
    counts: dict[str, Counter[str]] = {pool.name: Counter() for pool in settings.pools}
    with ExitStack() as files:
        writers = [
            files.enter_context(parquet_writer(version.scores(t.name), score_schema(t.subtasks if columns else ()), compression="zstd"))
            for t in targets
        ]
        for index, shard in zip(iterate_run_index(examples.path), shards, strict=True):
            tokens = read_example_counts(store.example_shard(model.encoding, index["shard"][0].as_py()))
            tokens = tokens.take(pc.index_in(index["example_id"].combine_chunks(), value_set=tokens["example_id"].combine_chunks()))
            start = 0
            for target, writer in zip(targets, writers, strict=True):
                stop = start + len(target.subtasks)
                table = score_table(
                    index, tokens["num_tokens"], shard.status, shard.scores[:, start:stop], target.subtasks, columns=columns
                )
                writer.write_table(table, row_group_size=max(1, table.num_rows))
                start = stop
            for pool, n, cut, status in zip(
                index["pool"].to_pylist(), tokens["num_tokens"].to_pylist(), tokens["truncated"].to_pylist(), shard.status, strict=True
            ):
                counts[pool].update({"tokens": n, "truncated": int(cut), status: 1})
    return InfluenceRef(
        scores=[
            ScoresRef(
                target=t.name,
                path=version.scores(t.name),
                examples=t.examples,
                unusable=t.unusable,
                subtasks=t.subtasks,
                left_out=t.left_out,
            )
            for t in targets
        ],
        pools=[
            PoolFlags(name=name, tokens=c["tokens"], truncated=c["truncated"], no_label=c[NO_LABEL], nonfinite=c[NONFINITE])
            for name, c in counts.items()
        ],
        examples=examples.examples,
        bytes_written=sum(size_of(version.scores(t.name)) for t in targets),
    )
