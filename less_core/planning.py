"""What a run would compute, reuse and cost, from its pools and its store alone. Nothing is computed and nothing written."""

import math
import random
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch

from less_core.addresses import feature_address, untrained_address, warmup_address
from less_core.config import SelectSettings
from less_core.data.encoding import Encoder
from less_core.data.index import assemble, draw_warmup, index_pool
from less_core.data.pools import open_pool, read_example
from less_core.data.targets import load_target
from less_core.inspection import inspect_model
from less_core.method.quantization import row_bytes
from less_core.methods import count_available, kind_of, needs_warmup, sides_of, storage_of
from less_core.model.loading import count_parameters, hidden_size, load_tokenizer, matmul_rate
from less_core.refs import ModelRef
from less_core.sharding import read_holdings
from less_core.storage.checkpoints import checkpoint_fingerprint, is_checkpoint
from less_core.storage.files import exists, read_json
from less_core.storage.layout import store_of

SAMPLE = 256  # examples encoded to learn their mean length
EFFICIENCY = 0.5  # of a matrix product's speed that a whole model reaches; a rule of thumb


@dataclass(frozen=True)
class Plan:
    """A run's work. A feature is one example at one checkpoint."""

    examples: int
    target_examples: int
    mean_tokens: float
    checkpoints: int
    warmup_known: bool
    features: int
    reused: int
    tokens: float  # through the model, of what is missing and of the warmup
    operations: float  # floating point, of these
    seconds: float
    store_bytes: int  # that the missing features will take

    @property
    def missing(self) -> int:
        return self.features - self.reused


def make_plan(settings: SelectSettings) -> Plan:
    """Look at pools, targets and store.

    Raises:
        LessError: As the run itself would, for what can be seen without computing.
    """
    model = inspect_model(settings)
    pool_ids, mean_tokens = _pool(settings, model)
    target_ids = {e.example_id for t in settings.targets for e in load_target(settings, t).examples}
    checkpoints = known_checkpoints(settings, model, pool_ids)
    count = count_checkpoints(settings)
    sides = sides_of(settings)
    reused = count_reused(settings, model, checkpoints, pool_ids, pa.array(sorted(target_ids)))
    features = count * sum({"pool": len(pool_ids), "target": len(target_ids)}[side] for side in sides)
    trains = needs_warmup(settings) and settings.warmup.kind == "train" and not settings.imported.pool
    warmed_up = not trains or bool(checkpoints) or bool(settings.warmup.checkpoints)
    trained = 0 if warmed_up else settings.warmup.epochs * math.ceil(settings.warmup.fraction * len(pool_ids))
    tokens = 0.0 if settings.imported.pool else mean_tokens * (features - reused + trained)
    # Forward, and for gradients the backward through frozen weights: two operations a parameter each way, every weight used once a token.
    operations = (4.0 if needs_warmup(settings) else 2.0) * count_parameters(Path(model.folder)) * tokens
    rate = EFFICIENCY * matmul_rate(torch.device(model.device), getattr(torch, model.dtype))
    return Plan(
        examples=len(pool_ids),
        target_examples=len(target_ids),
        mean_tokens=mean_tokens,
        checkpoints=count,
        warmup_known=warmed_up,
        features=features,
        reused=reused,
        tokens=tokens,
        operations=operations,
        seconds=operations / rate,
        store_bytes=(features - reused) * bytes_each(settings, Path(model.folder)),
    )


def _pool(settings: SelectSettings, model: ModelRef) -> tuple[pa.Array, float]:
    """Return the distinct example ids of the pools, and the mean number of tokens of some of them."""
    sources = {pool.name: open_pool(settings, pool.name) for pool in settings.pools}
    indexes = [index_pool(p.name, sources[p.name], p.format, skip_bad_rows=p.on_bad_row == "skip") for p in settings.pools]
    table = assemble([index.table for index in indexes], [pool.sample for pool in settings.pools]).table
    rows = table.take(random.Random(0).sample(range(table.num_rows), min(SAMPLE, table.num_rows))).to_pylist()
    encoder = Encoder(load_tokenizer(Path(model.folder)), settings.model.template, model.max_length)
    places = [(row["pool"], row["file"], row["offset"]) for row in rows]
    encoded = encoder.encode([read_example(sources[p], file, offset, settings.pool(p).format) for p, file, offset in places])
    return table["example_id"].combine_chunks(), sum(len(e.input_ids) for e in encoded) / len(encoded)


def count_checkpoints(settings: SelectSettings) -> int:
    """Return how many checkpoints features are taken at."""
    return len(settings.influence.checkpoints) or count_available(settings) if needs_warmup(settings) else 1


def bytes_each(settings: SelectSettings, model: Path) -> int:
    """Return the bytes that one feature takes in the store; `model` is the folder of the base model."""
    dim = settings.features.projection.dim if needs_warmup(settings) else hidden_size(model)
    return row_bytes(settings.features.storage, dim)


def count_reused(settings: SelectSettings, model: ModelRef, checkpoints: list[str], pool: pa.Array, target: pa.Array) -> int:
    """Return how many features at the checkpoints of these fingerprints the store has of these examples."""
    reused = 0
    for fingerprint in checkpoints:
        for side in sides_of(settings):
            address = feature_address(model, fingerprint, settings.features, kind_of(settings, side), storage_of(settings, side))
            held = read_holdings(store_of(settings).feature_shards(address), mend=False)["example_id"].combine_chunks()
            reused += pc.sum(pc.is_in(pool if side == "pool" else target, value_set=held)).as_py() or 0
    return reused


def known_checkpoints(settings: SelectSettings, model: ModelRef, ids: pa.Array) -> list[str]:
    """Return the fingerprints of those checkpoints that are there already; for representations, of the base model."""
    if not needs_warmup(settings):
        return [model.fingerprint]
    if settings.imported.pool:
        return []  # known once their files are read whole
    folders = _known_folders(settings, model, ids)
    numbers = settings.influence.checkpoints or range(1, len(folders) + 1)
    return [checkpoint_fingerprint(folders[number - 1]) for number in numbers if number <= len(folders)]


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
