"""Influence: every example's score for every target, in one pass over the feature shards."""

import logging
from collections import Counter
from contextlib import ExitStack

import pyarrow.compute as pc
import torch
from torch import Tensor

from less_core.config import SelectSettings
from less_core.extraction import NO_LABEL, NONFINITE
from less_core.refs import CheckpointsRef, ExamplesRef, FeaturesRef, InfluenceRef, ModelRef, PoolFlags, ScoresRef
from less_core.scoring import TargetRows, TargetVectors, score_shard, target_vectors
from less_core.storage.examples import iterate_run_index, read_example_counts
from less_core.storage.features import read_feature_rows
from less_core.storage.files import read_json, size_of
from less_core.storage.layout import Version, store_of
from less_core.storage.parquet import parquet_writer
from less_core.storage.scores import score_schema, score_table
from tasks.stage_task import stage_task

logger = logging.getLogger(__name__)


@stage_task("score {examples.examples} examples")
def score_examples(
    settings: SelectSettings,
    version: Version,
    model: ModelRef,
    examples: ExamplesRef,
    targets: ExamplesRef,
    checkpoints: CheckpointsRef,
    pool_features: FeaturesRef,
    target_features: FeaturesRef,
) -> InfluenceRef:
    """Score every example, a shard at a time, and write one file a target."""
    targets_ = _target_vectors(settings, targets, checkpoints, target_features)
    vectors = [torch.cat([t.vectors[i] for t in targets_]) for i in range(len(checkpoints.checkpoints))]
    weights = [checkpoint.weight for checkpoint in checkpoints.checkpoints]
    manifest = read_json(pool_features.path, made_by="the features stage")
    store, columns = store_of(settings), settings.influence.subtask_columns
    counts: dict[str, Counter[str]] = {pool.name: Counter() for pool in settings.pools}
    with ExitStack() as files:
        writers = [
            files.enter_context(parquet_writer(version.scores(t.name), score_schema(t.subtasks if columns else ()), compression="zstd"))
            for t in targets_
        ]
        for number, index in enumerate(iterate_run_index(examples.path)):
            ids = index["example_id"].combine_chunks()
            shard = score_shard(ids, [manifest[c.fingerprint][number] for c in checkpoints.checkpoints], vectors, weights)
            tokens = read_example_counts(store.example_shard(model.encoding, index["shard"][0].as_py()))
            tokens = tokens.take(pc.index_in(ids, value_set=tokens["example_id"].combine_chunks()))
            start = 0
            for target, writer in zip(targets_, writers, strict=True):
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
            for t in targets_
        ],
        pools=[
            PoolFlags(name=name, tokens=c["tokens"], truncated=c["truncated"], no_label=c[NO_LABEL], nonfinite=c[NONFINITE])
            for name, c in counts.items()
        ],
        examples=examples.examples,
        bytes_written=sum(size_of(version.scores(t.name)) for t in targets_),
    )


def _target_vectors(
    settings: SelectSettings, targets: ExamplesRef, checkpoints: CheckpointsRef, features: FeaturesRef
) -> list[TargetVectors]:
    rows: dict[str, list[tuple[int, str, str]]] = {target.name: [] for target in settings.targets}
    for index in iterate_run_index(targets.path):
        for row in index.to_pylist():
            rows[row["pool"]].append((row["index"], row["example_id"], row["source"]))
    manifest = read_json(features.path, made_by="the features stage")
    at: list[dict[str, tuple[Tensor, float, str]]] = []
    for checkpoint in checkpoints.checkpoints:
        found: dict[str, tuple[Tensor, float, str]] = {}
        for files in manifest[checkpoint.fingerprint]:
            for path in files:
                for group in read_feature_rows(path):
                    for i, example_id in enumerate(group.example_ids.to_pylist()):
                        found[example_id] = (group.features[i].float(), float(group.norms[i]), group.status[i])
        at.append(found)
    vectors = []
    for name, target_rows in rows.items():
        target_rows.sort()
        target = TargetRows(name, [row[1] for row in target_rows], [row[2] for row in target_rows])
        vectors.append(target_vectors(target, at, settings.features.fidelity))
        if vectors[-1].left_out:
            logger.warning("target %s: subtasks left out: %s", name, "; ".join(vectors[-1].left_out))
    return vectors
