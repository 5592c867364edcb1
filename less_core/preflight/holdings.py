"""Finds which artifacts a run can reuse and estimates the size of the rest."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from less_core.data.index import draw_warmup
from less_core.features.requirements import count_available, needs_warmup, sides_of, storage_of
from less_core.features.target_parts import TargetPart, count_groups
from less_core.files.whole import exists, read_json
from less_core.method.quantization import row_bytes
from less_core.model.loading import hidden_size
from less_core.refs import ModelRef, Side
from less_core.settings.select import SelectSettings
from less_core.storage.addresses import features_fingerprint, products_fingerprint, untrained_address, warmup_address
from less_core.storage.damaged import whole_or_none
from less_core.storage.formats.checkpoints import checkpoint_fingerprint, is_checkpoint
from less_core.storage.layout import store_of
from less_core.storage.sharding import read_holdings


def count_checkpoints(settings: SelectSettings) -> int:
    """Return how many checkpoints features are taken at."""
    return len(settings.influence.checkpoints) or count_available(settings) if needs_warmup(settings) else 1


def missing_bytes(settings: SelectSettings, model: ModelRef, checkpoints: list[str], pool: pa.Array, target: pa.Array) -> int:
    """Return the bytes that features take that the store has not; exact products are too few to count."""
    dim = settings.features.projection.dim if needs_warmup(settings) else hidden_size(Path(model.folder))
    total = 0
    for side in sides_of(settings):
        if side == "pool" and settings.scoring == "exact" and not settings.influence.keep_features:
            continue
        ids = pool if side == "pool" else target
        held = sum(_count_held(ids, [_features(settings, model, fingerprint, side)]) for fingerprint in checkpoints)
        total += (count_checkpoints(settings) * len(ids) - held) * row_bytes(storage_of(settings, side), dim)
    return total


def count_reused(
    settings: SelectSettings, model: ModelRef, checkpoints: list[str], pool: pa.Array, target: pa.Array, parts: list[TargetPart]
) -> dict[Side, int]:
    """Return how many features at the checkpoints of these fingerprints the store has of each side's examples, each pass for itself.

    Of exact scores: how many examples need no pass, because all that it would make is there.
    """
    store = store_of(settings)
    reused: dict[Side, int] = dict.fromkeys(sides_of(settings), 0)
    for fingerprint in checkpoints:
        for side in sides_of(settings):
            made = [_features(settings, model, fingerprint, side)]
            if side == "target" or settings.scoring == "store":
                reused[side] += _count_held(target if side == "target" else pool, made)
                continue
            if settings.scoring == "rerank":
                reused[side] += _count_held(pool, made)
                continue  # which examples will be on the shortlist is not known
            for group in range(count_groups(parts)):
                here = [part for part in parts if part.group == group]
                folders = [store.influence_shards(products_fingerprint(settings, model, fingerprint, part)) for part in here]
                reused[side] += _count_held(pool, folders + made * (group == 0 and settings.influence.keep_features))
    return reused


def _features(settings: SelectSettings, model: ModelRef, checkpoint: str, side: Side) -> str:
    return store_of(settings).feature_shards(features_fingerprint(settings, model, checkpoint, side))


def _count_held(ids: pa.Array, folders: list[str]) -> int:
    """Return how many examples all of some folders of shards have."""
    for folder in folders:
        ids = ids.filter(pc.is_in(ids, value_set=read_holdings(folder, mend=False)["example_id"].combine_chunks()))
    return len(ids)


def known_checkpoints(settings: SelectSettings, model: ModelRef, ids: pa.Array) -> list[str]:
    """Return the fingerprints of those checkpoints that are there already; for representations, of the base model."""
    if not needs_warmup(settings):
        return [model.fingerprint]
    if settings.imported.pool:
        return []  # known once their files are read whole
    folders = _known_folders(settings, model, ids)
    numbers = settings.influence.checkpoints or range(1, len(folders) + 1)
    wanted = [folders[number - 1] for number in numbers if number <= len(folders)]
    found = [whole_or_none(checkpoint_fingerprint, folder, mend=False) for folder in wanted]
    # Where one is not whole, the warmup sees it too and trains all of them anew.
    return [] if None in found else [fingerprint for fingerprint in found if fingerprint]


def _known_folders(settings: SelectSettings, model: ModelRef, ids: pa.Array) -> list[str]:
    if settings.warmup.checkpoints:
        return [path for path in settings.warmup.checkpoints if is_checkpoint(path)]
    if settings.warmup.kind != "train":
        folder = store_of(settings).checkpoint(untrained_address(model, settings.warmup), 0)
        return [folder] if is_checkpoint(folder) else []
    chosen = draw_warmup(pa.table({"example_id": ids}), settings.warmup.fraction, settings.warmup.seed)
    store = store_of(settings)
    address = warmup_address(model, settings.warmup, chosen["example_id"].to_pylist())
    record = store.warmup_record(address)
    if not exists(record):
        return []
    return [store.checkpoint(address, step) for step in read_json(record, made_by="the warmup")["steps"]]
