"""Scores of the methods that need no gradients: by an example's words, or by its loss."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from less_core.data.words import plain_text
from less_core.errors import MissingArtifactError
from less_core.features.rows import NO_LABEL, OK
from less_core.features.target_rows import ScoredTarget, TargetRows
from less_core.refs import CheckpointsRef, ExamplesRef, FeaturesRef, InfluenceRef, ModelRef
from less_core.scoring.by_features import ShardScores
from less_core.scoring.by_words import TargetTexts, TextMethod, score_texts, whole_target
from less_core.scoring.perplexity import middle_scores
from less_core.settings.select import SelectSettings
from less_core.storage.formats.examples import iterate_run_index, read_example_counts
from less_core.storage.formats.features import read_feature_rows
from less_core.storage.formats.manifest import read_manifest
from less_core.storage.layout import Version, store_of
from tasks.rows import Rows
from tasks.scores import target_rows, write_scores
from tasks.stage_task import stage_task
from tasks.work import WORK

Scores = NDArray[np.float32]


@stage_task("score {examples.examples} examples by {method}")
def score_by_text(
    settings: SelectSettings, version: Version, model: ModelRef, examples: ExamplesRef, targets: ExamplesRef, method: TextMethod
) -> InfluenceRef:
    """Score every example by its text and write one file a target."""
    texts = _target_texts(settings, targets)
    if method != "bm25":
        texts = [TargetTexts(whole_target(t.target), t.texts, [0] * len(t.texts)) for t in texts]
    ids = [example_id for index in iterate_run_index(examples.path) for example_id in index["example_id"].to_pylist()]
    scores = score_texts(method, ids, lambda: _pool_texts(settings, examples), texts, settings.seed)
    shards = _labelled_shards(settings, model, examples, np.concatenate(scores, axis=1))
    return write_scores(settings, version, model, examples, [t.target for t in texts], shards)


@stage_task("score {examples.examples} examples by perplexity")
def score_by_loss(
    settings: SelectSettings,
    version: Version,
    model: ModelRef,
    examples: ExamplesRef,
    targets: ExamplesRef,
    base: CheckpointsRef,
    features: FeaturesRef,
) -> InfluenceRef:
    """Score every example by its loss under the base model, the same for every target, and write one file a target."""
    rows = target_rows(settings, targets)
    losses = [_shard_losses(index, files) for index, files in zip(iterate_run_index(examples.path), _files(base, features), strict=True)]
    values = np.concatenate([loss for loss, _ in losses])
    scores = np.repeat(middle_scores(values)[:, None].astype(np.float32), len(rows), axis=1)
    shards = (
        ShardScores(torch.from_numpy(part), status)
        for part, (_, status) in zip(np.split(scores, np.cumsum([len(loss) for loss, _ in losses])[:-1]), losses, strict=True)
    )
    return write_scores(settings, version, model, examples, [whole_target(_scored(row)) for row in rows], shards)


def _scored(rows: TargetRows) -> ScoredTarget:
    return ScoredTarget(rows.name, list(dict.fromkeys(rows.subtasks)), len(rows.example_ids), 0, [])


def _target_texts(settings: SelectSettings, targets: ExamplesRef) -> list[TargetTexts]:
    rows = Rows(settings, "target")
    text_of = {
        row["example_id"]: plain_text(rows.example(row["pool"], row["file"], row["offset"]))
        for index in iterate_run_index(targets.path)
        for row in index.to_pylist()
    }
    found = []
    for target in target_rows(settings, targets):
        scored = _scored(target)
        subtask_of = [scored.subtasks.index(subtask) for subtask in target.subtasks]
        found.append(TargetTexts(scored, [text_of[example_id] for example_id in target.example_ids], subtask_of))
    return found


def _pool_texts(settings: SelectSettings, examples: ExamplesRef) -> Iterator[str]:
    rows = Rows(settings, "pool")
    for index in iterate_run_index(examples.path):
        WORK.advance(index.num_rows)
        for row in index.select(["pool", "file", "offset"]).to_pylist():
            yield plain_text(rows.example(row["pool"], row["file"], row["offset"]))


def _labelled_shards(settings: SelectSettings, model: ModelRef, examples: ExamplesRef, scores: Scores) -> Iterator[ShardScores]:
    """Yield the scores by shard; what carries no label could not be trained on and has none."""
    start = 0
    for index in iterate_run_index(examples.path):
        counts = read_example_counts(store_of(settings).example_shard(model.encoding, index["shard"][0].as_py()))
        place = pc.index_in(index["example_id"].combine_chunks(), value_set=counts["example_id"].combine_chunks())
        labels = counts["num_label_tokens"].take(place).to_numpy()
        part = torch.from_numpy(scores[start : start + index.num_rows].copy())
        part[torch.from_numpy(labels == 0)] = torch.nan
        yield ShardScores(part, [OK if count else NO_LABEL for count in labels.tolist()])
        start += index.num_rows


def _files(base: CheckpointsRef, features: FeaturesRef) -> Sequence[list[str]]:
    return read_manifest(features.path).files[base.checkpoints[0].fingerprint]


def _shard_losses(index: pa.Table, files: list[str]) -> tuple[NDArray[np.float64], list[str]]:
    """Return each example's loss, NaN where it has none, and its status."""
    ids = index["example_id"].combine_chunks()
    losses = np.full(len(ids), np.nan)
    status = [""] * len(ids)
    for path in files:
        for rows in read_feature_rows(path):
            for row, place in enumerate(pc.index_in(rows.example_ids, value_set=ids).to_pylist()):
                if place is not None:
                    status[place] = rows.status[row]
                    losses[place] = float(rows.losses[row]) if rows.status[row] == OK else np.nan
    if "" in status:
        missing = ids[status.index("")].as_py()
        raise MissingArtifactError(f"loss of example {missing}", "a shard that holds it", f"none in {files}", "Run again.")
    return losses, status
