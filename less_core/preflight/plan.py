"""What a run would compute, reuse and cost, from its pools and its store alone. Nothing is computed and nothing written."""

import math
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch

from less_core.data.encoding import EncodedExample, Encoder
from less_core.data.index import assemble, index_pool
from less_core.data.pools import open_pool, read_example
from less_core.data.targets import Target, load_target
from less_core.errors import ConfigError
from less_core.features.requirements import needs_warmup, sides_of
from less_core.features.rows import NO_LABEL, OK
from less_core.features.target_parts import TargetPart, count_groups, divide_targets, part_bytes
from less_core.features.target_rows import UsableTarget, make_target_rows, usable_target
from less_core.model.loading import count_lora_parameters, count_parameters, load_tokenizer, matmul_rate
from less_core.preflight.holdings import count_checkpoints, count_reused, known_checkpoints, missing_bytes
from less_core.preflight.model import inspect_model
from less_core.preflight.timing import measure
from less_core.refs import ModelRef
from less_core.settings.select import SelectSettings

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
    seconds: float  # on one device; not a number where the machine that plans has no such device
    calibrated: bool  # whether the time is of real batches through the real model, measured now
    store_bytes: int  # that the missing features will take
    memory_bytes: int  # of weights, moments, target gradients and two shards of features; calibrated also of a batch and the libraries
    passes: int  # over the pool at each checkpoint, where the gradients of all subtasks do not fit into memory together

    @property
    def missing(self) -> int:
        return self.features - self.reused


def make_plan(settings: SelectSettings, *, calibrate: bool = False) -> Plan:
    """Look at pools, targets and store.

    Args:
        settings: Of the run.
        calibrate: Whether to load the model and time a few batches, which takes a minute, instead of a matrix product.

    Raises:
        LessError: As the run itself would, for what can be seen without computing.
    """
    model = inspect_model(settings)
    pool_ids, sample = _pool(settings, model)
    mean_tokens = sum(len(e.input_ids) for e in sample) / len(sample)
    targets = [(target.name, load_target(settings, target)) for target in settings.targets]
    target_ids = pa.array(sorted({e.example_id for _, target in targets for e in target.examples}))
    checkpoints = known_checkpoints(settings, model, pool_ids)
    count = count_checkpoints(settings)
    sides = sides_of(settings)
    parameters = count_parameters(Path(model.folder))
    coordinates = count_lora_parameters(Path(model.folder), model.lora) if needs_warmup(settings) else 0
    exact = settings.scoring != "store"
    parts = divide_targets(usable_targets(settings, model, targets), coordinates, settings.influence.target_memory) if exact else []
    passes = count_groups(parts)
    reused = sum(count_reused(settings, model, checkpoints, pool_ids, target_ids, parts).values())
    each = {"pool": passes * len(pool_ids), "target": len(target_ids)}
    features = count * sum(each[side] for side in sides)
    if settings.scoring == "rerank":
        features += count * passes * round(settings.influence.shortlist * len(pool_ids))
    trains = needs_warmup(settings) and settings.warmup.kind == "train" and not settings.imported.pool
    warmed_up = not trains or bool(checkpoints) or bool(settings.warmup.checkpoints)
    trained = 0 if warmed_up else settings.warmup.epochs * math.ceil(settings.warmup.fraction * len(pool_ids))
    tokens = 0.0 if settings.imported.pool else mean_tokens * (features - reused + trained)
    operations = operations_a_token(settings, parameters) * tokens
    weights = parameters * getattr(torch, model.dtype).itemsize + 3 * 4 * coordinates  # LoRA weights and Adam's two moments are float32
    held = weights + _besides_weights(settings, coordinates, parts)
    device = torch.device(model.device)
    here = is_here(device)
    if calibrate and operations:
        if not here:
            raise ConfigError(
                "--calibrate", "the run's device on this machine", "none that torch sees", "Plan on a worker, or leave it out."
            )
        measured = measure(settings, model, sample)
        seconds = tokens / measured.tokens_a_second
        held += measured.memory - weights
    else:
        seconds = tokens * guess_seconds_a_token(settings, model) if here else math.nan
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
        seconds=seconds,
        calibrated=calibrate and bool(operations),
        store_bytes=missing_bytes(settings, model, checkpoints, pool_ids, target_ids),
        memory_bytes=held,
        passes=passes,
    )


def operations_a_token(settings: SelectSettings, parameters: int) -> float:
    """Return the floating-point operations of a token.

    Forward, and for gradients the backward through frozen weights: two operations a parameter each way, every weight used once a token.
    """
    return (4.0 if needs_warmup(settings) else 2.0) * parameters


def is_here(device: torch.device) -> bool:
    """Tell whether this machine has a device."""
    return device.type == "cpu" or torch.cuda.is_available()


def guess_seconds_a_token(settings: SelectSettings, model: ModelRef) -> float:
    """Return the seconds of a token of the pool's features by a rule of thumb: a matrix product measured now, at `EFFICIENCY`."""
    operations = operations_a_token(settings, count_parameters(Path(model.folder)))
    return operations / (EFFICIENCY * matmul_rate(torch.device(model.device), getattr(torch, model.dtype)))


def _besides_weights(settings: SelectSettings, coordinates: int, parts: list[TargetPart]) -> int:
    """Return the bytes of target gradients and of two shards of features, where gradients are taken."""
    if not needs_warmup(settings):
        return 0
    by_group: Counter[int] = Counter()
    for part in parts:
        by_group[part.group] += part_bytes(len(part.subtasks), coordinates, part.dtype)
    rows = 2 * settings.execution.shard_size * settings.features.projection.dim * 4
    return max(by_group.values(), default=0) + rows


def usable_targets(settings: SelectSettings, model: ModelRef, targets: list[tuple[str, Target]]) -> list[UsableTarget]:
    """Return the targets as far as tokens tell: an example without a label is not usable."""
    encoder = Encoder(load_tokenizer(Path(model.folder)), settings.model.template, model.max_length)
    found = []
    for name, target in targets:
        status = {e.example_id: OK if e.num_label_tokens else NO_LABEL for e in encoder.encode(target.examples)}
        ids = [e.example_id for e in target.examples]
        rows = make_target_rows(name, ids, list(target.subtasks), each=settings.rule == "round_robin_examples")
        found.append(usable_target(rows, [status]))
    return found


def _pool(settings: SelectSettings, model: ModelRef) -> tuple[pa.Array, list[EncodedExample]]:
    """Return the distinct example ids of the pools, and some of the examples."""
    sources = {pool.name: open_pool(settings, pool.name) for pool in settings.pools}
    indexes = [index_pool(p.name, sources[p.name], p.format, skip_bad_rows=p.on_bad_row == "skip") for p in settings.pools]
    table = assemble([index.table for index in indexes], [pool.sample for pool in settings.pools]).table
    rows = table.take(random.Random(0).sample(range(table.num_rows), min(SAMPLE, table.num_rows))).to_pylist()
    encoder = Encoder(load_tokenizer(Path(model.folder)), settings.model.template, model.max_length)
    places = [(row["pool"], row["file"], row["offset"]) for row in rows]
    encoded = encoder.encode([read_example(sources[p], file, offset, settings.pool(p).format) for p, file, offset in places])
    return table["example_id"].combine_chunks(), encoded
