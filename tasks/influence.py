"""Influence: every example's score for every target, in one pass over the feature shards."""

import logging
from collections.abc import Iterator

import torch
from torch import Tensor

from less_core.features.target_rows import TargetRows
from less_core.method.adam import Fidelity
from less_core.method.narrowing import narrow
from less_core.method.quantization import Packed, pack
from less_core.refs import CheckpointsRef, ExamplesRef, FeaturesRef, InfluenceRef, ModelRef
from less_core.scoring.by_features import ShardScores, Stored, TargetVectors, View, as_stored, score_shard, target_vectors
from less_core.settings.select import SelectSettings
from less_core.storage.formats.examples import iterate_run_index
from less_core.storage.formats.features import read_feature_rows
from less_core.storage.formats.manifest import Manifest, read_manifest
from less_core.storage.layout import Version
from tasks.scores import target_rows, write_scores
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
    vectors = read_vectors(settings, targets, target_features)
    shards = score_of_shards(settings, examples, checkpoints, pool_features, vectors)
    return write_scores(settings, version, model, examples, [v.target for v in vectors], shards)


def read_vectors(settings: SelectSettings, targets: ExamplesRef, features: FeaturesRef) -> list[TargetVectors]:
    """Return what train features are multiplied with for each target."""
    return vectors_of_targets(settings, target_rows(settings, targets), read_stored(read_manifest(features.path)))


def vectors_of_targets(settings: SelectSettings, targets: list[TargetRows], stored: list[dict[str, Stored]]) -> list[TargetVectors]:
    """Return what train features are multiplied with, from the stored features of the targets' examples at each checkpoint."""
    # Hidden states are compared one by one: fidelity is a choice of LESS.
    fidelity: Fidelity = settings.features.fidelity if settings.method == "less" else "less-code"
    similarity = settings.influence.similarity
    vectors = []
    for rows in targets:
        vectors.append(target_vectors(rows, stored, fidelity, similarity, view_of(settings)))
        if left_out := vectors[-1].target.left_out:
            logger.warning("target %s: subtasks left out: %s", rows.name, "; ".join(left_out))
    return vectors


def read_stored(manifest: Manifest) -> list[dict[str, Stored]]:
    """Return the features of few examples, those of targets, for each checkpoint by example id."""
    at: list[dict[str, Stored]] = []
    for checkpoint in manifest.checkpoints:
        found: dict[str, Stored] = {}
        for files in manifest.files[checkpoint.fingerprint]:
            for path in files:
                for group in read_feature_rows(path):
                    features = group.features.floats()
                    for i, example_id in enumerate(group.example_ids.to_pylist()):
                        found[example_id] = (features[i], float(group.norms[i]), group.status[i])
        at.append(found)
    return at


def view_of(settings: SelectSettings) -> View:
    """Return how stored features are scored."""
    dim = settings.influence.dim
    if dim in (0, settings.features.projection.dim):
        return as_stored
    kind = settings.features.projection.kind

    def narrowed(features: Packed, norms: Tensor) -> tuple[Packed, Tensor]:
        few, lengths = narrow(features.floats(), norms, kind, dim)
        return pack(few, "float32"), lengths

    return narrowed


def score_of_shards(
    settings: SelectSettings, examples: ExamplesRef, checkpoints: CheckpointsRef, features: FeaturesRef, targets: list[TargetVectors]
) -> Iterator[ShardScores]:
    """Yield the scores of all shards from their features."""
    vectors = [torch.cat([t.vectors[i] for t in targets]) for i in range(len(checkpoints.checkpoints))]
    weights = [checkpoint.weight for checkpoint in checkpoints.checkpoints]
    manifest = read_manifest(features.path)
    for number, index in enumerate(iterate_run_index(examples.path)):
        files = [manifest.files[c.fingerprint][number] for c in checkpoints.checkpoints]
        ids = index["example_id"].combine_chunks()
        yield score_shard(ids, files, vectors, weights, settings.influence.similarity, view_of(settings))
