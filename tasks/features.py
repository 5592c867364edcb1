"""Features: what the store has, what is missing, and computing that, one shard at one checkpoint a task."""

import logging
import time

import pyarrow as pa
import pyarrow.compute as pc

from less_core.data.encoding import EncodedExample
from less_core.features.requirements import kind_of, storage_of
from less_core.features.rows import OK, Features
from less_core.files.fingerprint import fingerprint_ids
from less_core.files.locks import lock
from less_core.files.whole import size_of
from less_core.refs import (
    FEATURES,
    CheckpointRef,
    CheckpointsRef,
    ExactRef,
    ExamplesRef,
    FeatureShardRef,
    FeaturesRef,
    FeatureWork,
    Holding,
    ModelRef,
    Side,
)
from less_core.settings.select import SelectSettings
from less_core.storage.addresses import features_fingerprint, products_fingerprint
from less_core.storage.damaged import whole_or_none
from less_core.storage.formats.examples import iterate_run_index, read_example_shard, read_run_index
from less_core.storage.formats.features import verify_feature_shard, write_feature_shard
from less_core.storage.formats.manifest import Manifest, write_manifest
from less_core.storage.layout import Version, shard_in, store_of
from less_core.storage.sharding import read_holdings
from tasks.exact import read_parts, read_shortlist, target_group
from tasks.imported import imported_features
from tasks.runtime import RUNTIME
from tasks.stage_task import done_as, stage_task
from tasks.work import WORK

logger = logging.getLogger(__name__)


@stage_task("plan {examples.side} features")
def plan_features(
    settings: SelectSettings, model: ModelRef, examples: ExamplesRef, checkpoints: CheckpointsRef, exact: ExactRef | None = None
) -> list[FeatureWork]:
    """Find for every shard at every checkpoint which files of the store hold its examples, and how many are missing.

    With `exact`, each group of target parts is a pass of its own; features are made in the first.
    """
    work = []
    listed = _shortlist(exact)
    for checkpoint in checkpoints.checkpoints:
        for group, kinds in enumerate(_kinds(settings, model, checkpoint, examples.side, exact)):
            held = [read_holdings(kind.folder) for kind in kinds]
            for number, index in enumerate(iterate_run_index(examples.path), 1):
                ids = _wanted(index, listed)
                if not len(ids):
                    continue  # nothing of this shard is on the shortlist
                work.append(
                    FeatureWork(
                        side=examples.side,
                        checkpoint=checkpoint,
                        shard=number,
                        of=examples.shards,
                        group=group,
                        examples=len(ids),
                        holdings=[_held(kind, found, ids) for kind, found in zip(kinds, held, strict=True)],
                    )
                )
    return work


def _kinds(settings: SelectSettings, model: ModelRef, checkpoint: CheckpointRef, side: Side, exact: ExactRef | None) -> list[list[Holding]]:
    """Return what is computed at a checkpoint, a list a pass: features, then influence on each target part. Nothing is held yet."""
    store = store_of(settings)
    passes: list[list[Holding]] = [[] for _ in range(exact.groups if exact else 1)]
    if exact is None or (settings.scoring == "exact" and settings.influence.keep_features):
        of = features_fingerprint(settings, model, checkpoint.fingerprint, side)
        passes[0].append(Holding(part=FEATURES, folder=store.feature_shards(of), fingerprint=of, files=[], missing=0))
    for number, part in enumerate(read_parts(exact.path) if exact else ()):
        of = products_fingerprint(settings, model, checkpoint.fingerprint, part)
        passes[part.group].append(Holding(part=number, folder=store.influence_shards(of), fingerprint=of, files=[], missing=0))
    return passes


def _held(kind: Holding, held: pa.Table, ids: pa.Array) -> Holding:
    places = pc.index_in(ids, value_set=held["example_id"].combine_chunks()).drop_null()
    files = sorted(pc.unique(held["file"].take(places)).to_pylist())
    return kind.model_copy(update={"files": files, "missing": len(ids) - len(places)})


def _shortlist(exact: ExactRef | None) -> pa.Array | None:
    return read_shortlist(exact.shortlist) if exact and exact.shortlist else None


def _wanted(index: pa.Table, listed: pa.Array | None) -> pa.Array:
    ids = index["example_id"].unique()
    return ids if listed is None else ids.filter(pc.is_in(ids, value_set=listed))


@stage_task("{work.side} features ckpt {work.checkpoint.number}/{work.checkpoint.of} · shard {work.shard}/{work.of}")
def extract_features(
    settings: SelectSettings,
    model: ModelRef,
    examples: ExamplesRef,
    work: FeatureWork,
    exact: ExactRef | None = None,
    wait: bool = False,
) -> FeatureShardRef:
    """Compute, in one pass, what no whole file of the store holds of a shard's examples: features, and exact influence on target parts.

    A shard that another run computes at this moment is left to it and marked `elsewhere`, unless we are to `wait` for it.
    """
    started = time.monotonic()
    index = read_run_index(examples.path, work.shard - 1, ["example_id", "shard"])
    wanted = _wanted(index, _shortlist(exact))
    held = {kind.part: _verified(kind.files, kind.fingerprint, wanted) for kind in work.holdings}
    todo = [kind for kind in work.holdings if len(held[kind.part][1])]
    ref = FeatureShardRef(
        checkpoint=work.checkpoint.fingerprint,
        shard=work.shard,
        files={part: files for part, (files, _) in held.items()},
        computed=0,
        reused=len(wanted),
        flagged=0,
        tokens=0,
        seconds=0,
        bytes_written=0,
    )
    if not todo:
        return done_as("Cached", ref, f"the store has all {len(wanted)} examples")
    paths = {kind.part: shard_in(kind.folder, fingerprint_ids(held[kind.part][1].to_pylist())) for kind in todo}
    files = {part: sorted([*files, paths[part]]) if part in paths else files for part, (files, _) in held.items()}
    with lock(paths[todo[0].part], WORK.go_on if wait else None) as ours:
        if not ours:
            return done_as("Elsewhere", ref.model_copy(update={"elsewhere": True}), "another run computes it; asked again at the end")
        todo = [kind for kind in todo if not _verified([paths[kind.part]], kind.fingerprint, held[kind.part][1])[0]]
        if not todo:
            return done_as("Cached", ref.model_copy(update={"files": files}), "another run computed it since the plan")
        missing = pa.chunked_array([held[kind.part][1] for kind in todo]).unique()
        encoded = read_example_shard(store_of(settings).example_shard(model.encoding, index["shard"][0].as_py()), missing)
        features = _compute(settings, model, examples, work, encoded, exact, {kind.part for kind in todo})
        for kind in todo:
            rows = features[kind.part].of(held[kind.part][1].to_pylist())
            dtype = storage_of(settings, work.side) if kind.part == FEATURES else "float32"
            write_feature_shard(paths[kind.part], rows, fingerprint=kind.fingerprint, dtype=dtype)
    of_any = features[todo[0].part]
    seconds, tokens = time.monotonic() - started, sum(of_any.num_tokens)
    place = f"ckpt {work.checkpoint.number}/{work.checkpoint.of} · shard {work.shard}/{work.of}"
    logger.info("%s: %d examples, %.1f examples/s, %.0f tokens/s", place, len(encoded), len(encoded) / seconds, tokens / seconds)
    return ref.model_copy(
        update={
            "files": files,
            "computed": len(encoded),
            "reused": len(wanted) - len(encoded),
            "flagged": sum(status != OK for status in of_any.status),
            "tokens": tokens,
            "seconds": seconds,
            "bytes_written": sum(size_of(paths[kind.part]) for kind in todo),
        }
    )


def _compute(
    settings: SelectSettings,
    model: ModelRef,
    examples: ExamplesRef,
    work: FeatureWork,
    encoded: list[EncodedExample],
    exact: ExactRef | None,
    kinds: set[int],
) -> dict[int, Features]:
    """Return features, and influence on all parts of the pass where any is among `kinds`, by part."""
    if settings.imported.pool:
        return {FEATURES: imported_features(settings, examples, work, encoded)}
    project, multiply = FEATURES in kinds, bool(kinds - {FEATURES})
    group = target_group(settings, model, exact, work.group) if exact and multiply else None

    def extract() -> list[Features]:
        kind = kind_of(settings, work.side)
        extractor = RUNTIME.extractor(model, work.checkpoint, settings.features, kind, project=project, targets=group)
        return extractor.extract(encoded, settings.execution.tokens_a_batch(model.device), WORK.advance)

    rows = RUNTIME.compute(extract)
    parts = [kind.part for kind in work.holdings if kind.part != FEATURES] if multiply else []
    return dict(zip([FEATURES] * project + parts, rows, strict=True))


def _verified(paths: list[str], fingerprint: str, wanted: pa.Array) -> tuple[list[str], pa.Array]:
    """Return the files that verify and the ids that none of them holds."""
    files = []
    for path in paths:
        held = whole_or_none(lambda shard: verify_feature_shard(shard, fingerprint), path)
        if held is None:
            continue
        files.append(path)
        wanted = wanted.filter(pc.invert(pc.is_in(wanted, value_set=held.combine_chunks())))
    return files, wanted


@stage_task("note {examples.side} features")
def note_features(version: Version, examples: ExamplesRef, checkpoints: CheckpointsRef, shards: list[FeatureShardRef]) -> FeaturesRef:
    """Write down which files hold the features of each shard at each checkpoint, and its exact influence on each target part."""
    parts = sorted({part for shard in shards for part in shard.files})
    for part in parts:
        files: dict[str, list[list[str]]] = {c.fingerprint: [[] for _ in range(examples.shards)] for c in checkpoints.checkpoints}
        for shard in shards:
            if part in shard.files:
                files[shard.checkpoint][shard.shard - 1] = shard.files[part]
        path = version.features(examples.side) if part == FEATURES else version.influence(part)
        write_manifest(path, Manifest(checkpoints.checkpoints, files))
    return FeaturesRef(
        path=version.features(examples.side) if FEATURES in parts else "",
        computed=sum(s.computed for s in shards),
        reused=sum(s.reused for s in shards),
        flagged=sum(s.flagged for s in shards),
        bytes_written=sum(s.bytes_written for s in shards),
    )
