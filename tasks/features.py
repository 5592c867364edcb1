"""Features: what the store has, what is missing, and computing that, one shard at one checkpoint a task."""

import logging
import time

import pyarrow as pa
import pyarrow.compute as pc

from less_core.addresses import feature_address
from less_core.config import SelectSettings
from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.extraction import OK
from less_core.fingerprint import fingerprint_ids
from less_core.methods import kind_of
from less_core.refs import CheckpointRef, CheckpointsRef, ExamplesRef, FeatureShardRef, FeaturesRef, FeatureWork, ModelRef
from less_core.sharding import read_holdings
from less_core.storage.examples import iterate_run_index, read_example_shard, read_run_index
from less_core.storage.features import verify_feature_shard, write_feature_shard
from less_core.storage.files import set_aside, size_of
from less_core.storage.layout import Side, Version, store_of
from less_core.storage.locks import lock
from less_core.storage.manifest import Manifest, write_manifest
from tasks.imported import imported_features
from tasks.runtime import RUNTIME
from tasks.stage_task import done_as, stage_task

logger = logging.getLogger(__name__)


def address_of(settings: SelectSettings, model: ModelRef, checkpoint: CheckpointRef, side: Side) -> str:
    """Return the address of a side's features at a checkpoint."""
    kind = f"imported {side}" if settings.imported.pool else kind_of(settings, side)
    return feature_address(model, checkpoint.fingerprint, settings.features, kind)


@stage_task("plan {examples.side} features")
def plan_features(settings: SelectSettings, model: ModelRef, examples: ExamplesRef, checkpoints: CheckpointsRef) -> list[FeatureWork]:
    """Find for every shard at every checkpoint which files of the store hold its examples, and how many are missing."""
    work = []
    for checkpoint in checkpoints.checkpoints:
        address = address_of(settings, model, checkpoint, examples.side)
        holdings = read_holdings(store_of(settings).feature_shards(address))
        held_ids = holdings["example_id"].combine_chunks()
        for number, group in enumerate(iterate_run_index(examples.path), 1):
            ids = group["example_id"].unique()
            places = pc.index_in(ids, value_set=held_ids).drop_null()
            files = sorted(pc.unique(holdings["file"].take(places)).to_pylist())
            work.append(
                FeatureWork(
                    side=examples.side,
                    checkpoint=checkpoint,
                    fingerprint=address,
                    shard=number,
                    of=examples.shards,
                    files=files,
                    examples=len(ids),
                    missing=len(ids) - len(places),
                )
            )
    return work


@stage_task("{work.side} features ckpt {work.checkpoint.number}/{work.checkpoint.of} · shard {work.shard}/{work.of}")
def extract_features(
    settings: SelectSettings, model: ModelRef, examples: ExamplesRef, work: FeatureWork, wait: bool = False
) -> FeatureShardRef:
    """Compute the features of a shard's examples that no whole file of the store holds.

    A shard that another run computes at this moment is left to it and marked `elsewhere`, unless we are to `wait` for it.
    """
    started = time.monotonic()
    index = read_run_index(examples.path, work.shard - 1, ["example_id", "shard"])
    wanted = index["example_id"].unique()
    files, missing = _verified(work.files, work.fingerprint, wanted)
    ref = FeatureShardRef(
        checkpoint=work.checkpoint.fingerprint,
        shard=work.shard,
        files=files,
        computed=len(missing),
        reused=len(wanted) - len(missing),
        flagged=0,
        tokens=0,
        seconds=0,
        bytes_written=0,
    )
    if not len(missing):
        return done_as("Cached", ref, f"the store has all {len(wanted)} examples")
    path = store_of(settings).feature_shard(work.fingerprint, fingerprint_ids(missing.to_pylist()))
    with lock(path, RUNTIME.go_on if wait else None) as ours:
        if not ours:
            return done_as("Elsewhere", ref.model_copy(update={"elsewhere": True}), "another run computes it; asked again at the end")
        if _verified([path], work.fingerprint, missing)[0]:
            ref = ref.model_copy(update={"files": sorted([*files, path]), "computed": 0, "reused": len(wanted)})
            return done_as("Cached", ref, "another run computed it since the plan")
        encoded = read_example_shard(store_of(settings).example_shard(model.encoding, index["shard"][0].as_py()), missing)
        if settings.imported.pool:
            features = imported_features(settings, examples, work, encoded)
        else:
            with RUNTIME.lock:
                extractor = RUNTIME.extractor(model, work.checkpoint, settings.features, kind_of(settings, work.side))
                features = extractor.extract(encoded, settings.execution.tokens_a_batch(model.device), RUNTIME.advance)
        write_feature_shard(path, features, fingerprint=work.fingerprint, dtype=settings.features.storage)
    seconds, tokens = time.monotonic() - started, sum(features.num_tokens)
    place = f"ckpt {work.checkpoint.number}/{work.checkpoint.of} · shard {work.shard}/{work.of}"
    logger.info("%s: %d examples, %.1f examples/s, %.0f tokens/s", place, len(encoded), len(encoded) / seconds, tokens / seconds)
    return ref.model_copy(
        update={
            "files": sorted([*files, path]),
            "flagged": sum(status != OK for status in features.status),
            "tokens": tokens,
            "seconds": seconds,
            "bytes_written": size_of(path),
        }
    )


def _verified(paths: list[str], fingerprint: str, wanted: pa.Array) -> tuple[list[str], pa.Array]:
    """Return the files that verify and the ids that none of them holds; a file that does not is set aside."""
    files = []
    for path in paths:
        try:
            held = verify_feature_shard(path, fingerprint)
        except CorruptArtifactError as error:
            logger.warning("%s Set aside as %s.", error, set_aside(path))
            continue
        except MissingArtifactError:
            continue  # not made yet, or set aside or deleted since the plan
        files.append(path)
        wanted = wanted.filter(pc.invert(pc.is_in(wanted, value_set=held.combine_chunks())))
    return files, wanted


@stage_task("note {examples.side} features")
def note_features(version: Version, examples: ExamplesRef, checkpoints: CheckpointsRef, shards: list[FeatureShardRef]) -> FeaturesRef:
    """Write down which files hold the features of each shard at each checkpoint."""
    files: dict[str, list[list[str]]] = {c.fingerprint: [[] for _ in range(examples.shards)] for c in checkpoints.checkpoints}
    for shard in shards:
        files[shard.checkpoint][shard.shard - 1] = shard.files
    path = version.features(examples.side)
    write_manifest(path, Manifest(checkpoints.checkpoints, files))
    return FeaturesRef(
        path=path,
        computed=sum(s.computed for s in shards),
        reused=sum(s.reused for s in shards),
        flagged=sum(s.flagged for s in shards),
        bytes_written=sum(s.bytes_written for s in shards),
    )
