"""Exact influence: the targets' parts, the shortlist, and scores from the products that were taken while gradients were in memory."""

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import TypeAdapter

from less_core.data.encoding import EncodedExample
from less_core.features.rows import NOT_SHORTLISTED, OK
from less_core.features.target_gradients import TargetGradients, subtask_gradients
from less_core.features.target_parts import TargetPart, count_groups, divide_targets
from less_core.features.target_rows import UsableTarget, usable_target
from less_core.files.whole import read_json, write_json
from less_core.model.gradients import PerExampleGradients
from less_core.model.loading import count_lora_parameters
from less_core.refs import CheckpointsRef, ExactRef, ExamplesRef, FeaturesRef, InfluenceRef, ModelRef
from less_core.scoring.by_features import ShardScores, score_shard
from less_core.selection.ranking import Ranking
from less_core.settings.select import SelectSettings
from less_core.storage.addresses import part_address
from less_core.storage.formats.examples import iterate_run_index, read_example_shard
from less_core.storage.formats.manifest import read_manifest
from less_core.storage.formats.selections import read_selected_ids, write_selected_ids
from less_core.storage.layout import Store, Version, store_of
from tasks.influence import read_stored, read_vectors, score_of_shards
from tasks.runtime import TargetGroup
from tasks.scores import target_rows, write_scores
from tasks.stage_task import stage_task
from tasks.work import WORK

logger = logging.getLogger(__name__)
_PARTS = TypeAdapter(list[TargetPart])


@stage_task("divide targets")
def plan_targets_exactly(
    settings: SelectSettings, version: Version, model: ModelRef, targets: ExamplesRef, features: FeaturesRef
) -> ExactRef:
    """Divide the targets into parts whose gradients fit into memory, by what is usable of them."""
    usable = _usable(settings, targets, features)
    parts = divide_targets(usable, count_lora_parameters(Path(model.folder), model.lora), settings.influence.target_memory)
    groups = count_groups(parts)
    if groups > 1:
        logger.warning(
            "target gradients of all subtasks do not fit into influence.target_memory = %g GB: %d passes over the pool",
            settings.influence.target_memory,
            groups,
        )
    write_json(version.target_parts, [part.model_dump() for part in parts])
    return ExactRef(path=version.target_parts, groups=groups, targets=targets.path, tokens=targets.tokens, shortlist="")


@stage_task("shortlist of {examples.examples} examples")
def draw_shortlist(
    settings: SelectSettings,
    version: Version,
    examples: ExamplesRef,
    targets: ExamplesRef,
    checkpoints: CheckpointsRef,
    pool_features: FeaturesRef,
    target_features: FeaturesRef,
) -> str:
    """Write the ids of the examples that features score best, for any of the targets; return where."""
    vectors = read_vectors(settings, targets, target_features)
    count = max(1, round(settings.influence.shortlist * examples.examples))
    rankings = [Ranking(count) for _ in vectors]
    shards = score_of_shards(settings, examples, checkpoints, pool_features, vectors)
    for index, shard in zip(iterate_run_index(examples.path), shards, strict=True):
        ids = np.asarray(index["example_id"].to_pylist())
        start = 0
        for ranking, target in zip(rankings, vectors, strict=True):
            stop = start + len(target.target.subtasks)
            best = shard.scores[:, start:stop].amax(dim=1).double().numpy()
            ranking.offer(ids, best, np.zeros(len(ids), dtype=np.int64))
            start = stop
    write_selected_ids(version.shortlist, sorted({example_id for ranking in rankings for example_id in ranking.example_ids.tolist()}))
    return version.shortlist


@stage_task("score {examples.examples} examples exactly")
def score_exactly(
    settings: SelectSettings,
    version: Version,
    model: ModelRef,
    examples: ExamplesRef,
    targets: ExamplesRef,
    checkpoints: CheckpointsRef,
    exact: ExactRef,
    target_features: FeaturesRef,
) -> InfluenceRef:
    """Put each example's exact influence at the checkpoints together, and write one file a target."""
    usable = _usable(settings, targets, target_features)
    shards = _exact_shards(settings, version, examples, checkpoints, exact)
    return write_scores(settings, version, model, examples, [target.scored for target in usable], shards)


def read_parts(path: str) -> list[TargetPart]:
    """Return the parts of targets in the order of their numbers."""
    return _PARTS.validate_python(read_json(path, made_by="the features stage"))


@lru_cache(maxsize=1)
def read_shortlist(path: str) -> pa.Array:
    """Return the ids of a shortlist. Every shard asks for them, and a version's never change."""
    return pa.array(read_selected_ids(path), pa.string())


def target_group(settings: SelectSettings, model: ModelRef, exact: ExactRef, group: int) -> TargetGroup:
    """Return the parts of a group, for the runtime to take their gradients when it needs them."""
    parts = [part for part in read_parts(exact.path) if part.group == group]

    def gradients(of: PerExampleGradients) -> list[TargetGradients]:
        examples = _target_examples(store_of(settings), model.encoding, exact.targets)
        return [
            subtask_gradients(
                of,
                [[examples[example_id] for example_id in ids] for ids in part.example_ids],
                fidelity=settings.features.fidelity,
                similarity=settings.influence.similarity,
                dtype=getattr(torch, part.dtype),
                batch_tokens=settings.execution.tokens_a_batch(model.device),
                on_batch=WORK.advance_targets,
            )
            for part in parts
        ]

    return TargetGroup(" ".join(part_address(settings, part) for part in parts), gradients)


@lru_cache(maxsize=1)
def _target_examples(store: Store, encoding: str, index: str) -> dict[str, EncodedExample]:
    found: dict[str, EncodedExample] = {}
    for table in iterate_run_index(index):
        path = store.example_shard(encoding, table["shard"][0].as_py())
        found |= {e.example_id: e for e in read_example_shard(path, table["example_id"].combine_chunks())}
    return found


def _usable(settings: SelectSettings, targets: ExamplesRef, features: FeaturesRef) -> list[UsableTarget]:
    statuses = [{e: stored[2] for e, stored in at.items()} for at in read_stored(read_manifest(features.path))]
    return [usable_target(rows, statuses) for rows in target_rows(settings, targets)]


def _exact_shards(
    settings: SelectSettings, version: Version, examples: ExamplesRef, checkpoints: CheckpointsRef, exact: ExactRef
) -> Iterator[ShardScores]:
    parts = read_parts(exact.path)
    manifests = [read_manifest(version.influence(number)) for number in range(len(parts))]
    weights = [checkpoint.weight for checkpoint in checkpoints.checkpoints]
    listed = read_shortlist(exact.shortlist) if exact.shortlist else None
    # The products are the shares of the subtasks already: each column stands for itself.
    itself = [[torch.eye(len(part.subtasks))] * len(weights) for part in parts]
    for number, index in enumerate(iterate_run_index(examples.path)):
        ids = index["example_id"].combine_chunks()
        places = np.arange(len(ids)) if listed is None else np.flatnonzero(pc.is_in(ids, value_set=listed).to_numpy(zero_copy_only=False))
        status = np.full(len(ids), NOT_SHORTLISTED, dtype=object)
        status[places] = OK
        columns = torch.full((len(ids), sum(len(part.subtasks) for part in parts)), torch.nan)
        start = 0
        for part, manifest, vectors in zip(parts, manifests, itself, strict=True) if len(places) else ():
            stop = start + len(part.subtasks)
            files = [manifest.files[c.fingerprint][number] for c in checkpoints.checkpoints]
            scored = score_shard(ids.take(pa.array(places)), files, vectors, weights, settings.influence.similarity)
            columns[torch.from_numpy(places), start:stop] = scored.scores
            found = np.array(scored.status, dtype=object)
            status[places] = np.where(found != OK, found, status[places])
            start = stop
        columns[torch.from_numpy(status != OK)] = torch.nan
        yield ShardScores(columns, status.tolist())
