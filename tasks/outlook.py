"""The work that a prepared run has ahead, stage by stage, and its expected speed: the start of the forecast of its end."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from less_core.data.targets import load_target
from less_core.features.requirements import REPORT, RERANK, needs_warmup, sides_of
from less_core.features.target_parts import TargetPart, count_groups, divide_targets
from less_core.files.parquet import read_columns
from less_core.model.loading import count_lora_parameters
from less_core.preflight.forecast import TARGETS, Step
from less_core.preflight.holdings import count_checkpoints, count_reused, known_checkpoints
from less_core.preflight.plan import guess_seconds_a_token, is_here, usable_targets
from less_core.refs import ExactRef, ExamplesRef, FeatureWork, ModelRef, PreparedRef, WarmupRef
from less_core.settings.select import SelectSettings
from less_core.storage.formats.checkpoints import checkpoint_fingerprint
from less_core.storage.layout import run_of
from less_core.storage.provenance import Basis, read_last
from tasks.runtime import RUNTIME

# Against a token of the pool's features; see benchmarks/forecast.py.
TRAINING = 1.3  # the warmup pads its batches, has dropout, and steps an optimizer
PLAIN = 0.85  # target features need no update by Adam and no products
WHOLE = 1.1  # a whole gradient is gathered, few at a time
SCORING = (0.5, 5e-5)  # seconds of the influence stage, and of an example more
REPORTING = (5.0, 5e-5)  # of the last stage


class Outlook(NamedTuple):
    """What `Forecast.expect` takes."""

    steps: list[Step]
    seconds_a_token: float  # 0 where nothing tells
    measured: bool  # in an earlier run


def look_ahead(settings: SelectSettings, model: ModelRef, prepared: PreparedRef, kept: WarmupRef | None) -> Outlook:
    """Return what the stages after `prepare` are expected to compute.

    Args:
        settings: The run's settings.
        model: The base model.
        prepared: The encoded examples.
        kept: The last version's warmup, if this run keeps it.
    """
    found = read_last(run_of(settings))
    last = found[1] if found else None
    steps = [] if settings.imported.pool else [*_model_steps(settings, model, prepared, kept)]
    if not sides_of(settings):
        steps = [Step("influence", "influence", rounds_of_text(settings) * prepared.pool.examples, weight=1.0)]
    elif not settings.imported.pool:
        steps.append(_settled("influence", SCORING, prepared.pool, last))
    if steps:
        steps.append(_settled(REPORT, REPORTING, prepared.pool, last))
    pace = _measured_before(settings, model, prepared.pool, last)
    computes = sides_of(settings) and not settings.imported.pool
    if pace or not computes or settings.execution.remote or not is_here(torch.device(model.device)):
        return Outlook(steps, pace, measured=bool(pace))
    return Outlook(steps, RUNTIME.compute(lambda: guess_seconds_a_token(settings, model)), measured=False)


def rounds_of_text(settings: SelectSettings) -> int:
    """Return how often a method that compares words reads the pool: DSIR first counts the words of the whole pool."""
    return 2 if settings.method == "dsir" else 1


def feature_steps(
    stage: str, settings: SelectSettings, examples: ExamplesRef, work: Sequence[FeatureWork], exact: ExactRef | None
) -> list[Step]:
    """Return what a feature stage computes, from the plan of its shards."""
    missing = sum(w.missing for w in work)
    steps = [_features(stage, examples, missing)]
    if exact and not settings.execution.remote:  # else workers take the gradients, each for itself, and do not tell
        passes = {(w.checkpoint.number, w.group) for w in work if w.missing}
        steps.append(Step(stage, TARGETS, len(passes) * exact.tokens / exact.groups, weight=WHOLE))
    return steps


def _model_steps(
    settings: SelectSettings,
    model: ModelRef,
    prepared: PreparedRef,
    kept: WarmupRef | None,
) -> list[Step]:
    pool, target = prepared.pool, prepared.target
    pool_ids, target_ids = (read_columns(ref.path, ["example_id"])["example_id"].unique() for ref in (pool, target))
    folders = kept.folders if kept else ()
    known = [checkpoint_fingerprint(folder) for folder in folders] or known_checkpoints(settings, model, pool_ids)
    count = count_checkpoints(settings)
    parts = _parts(settings, model)
    passes = max(1, count_groups(parts))
    held = count_reused(settings, model, known, pool_ids, target_ids, parts)
    steps = []
    trains = needs_warmup(settings) and settings.warmup.kind == "train" and not settings.warmup.checkpoints
    if trains and not known:
        trained = settings.warmup.epochs * math.ceil(settings.warmup.fraction * pool.examples)
        steps.append(Step("warmup", "warmup", trained, weight=TRAINING * _mean_tokens(pool)))
    for side in sides_of(settings):
        examples = pool if side == "pool" else target
        rounds = count * (passes if side == "pool" and settings.scoring == "exact" else 1)
        missing = rounds * examples.examples - held[side]
        steps.append(_features(f"{side} features", examples, missing))
        if side == "pool" and settings.scoring == "exact" and missing:
            steps.append(Step("pool features", TARGETS, count * target.tokens, weight=WHOLE))
    if settings.scoring == "rerank":
        listed = count * passes * settings.influence.shortlist * pool.tokens
        steps.append(Step(RERANK, RERANK, listed, weight=1.0))
        steps.append(Step(RERANK, TARGETS, count * target.tokens, weight=WHOLE))
    return steps


def _features(stage: str, examples: ExamplesRef, missing: int) -> Step:
    return Step(stage, stage, missing * _mean_tokens(examples), weight=1.0 if examples.side == "pool" else PLAIN)


def _parts(settings: SelectSettings, model: ModelRef) -> list[TargetPart]:
    if settings.scoring == "store":
        return []
    targets = [(target.name, load_target(settings, target)) for target in settings.targets]
    coordinates = count_lora_parameters(Path(model.folder), model.lora)
    return divide_targets(usable_targets(settings, model, targets), coordinates, settings.influence.target_memory)


def _settled(stage: str, expected: tuple[float, float], pool: ExamplesRef, last: Basis | None) -> Step:
    """Return a step whose time is known from the last version, or else from experience."""
    found = last.measured.get(stage) if last else None
    seconds = found.seconds if found else expected[0] + expected[1] * pool.examples
    return Step(stage, stage, 1.0, seconds=seconds)


def _measured_before(settings: SelectSettings, model: ModelRef, pool: ExamplesRef, last: Basis | None) -> float:
    """Return the seconds of a token that the last version measured; 0 if its features had other settings or came from the store."""
    found = last.measured.get("pool features") if last else None
    if not last or not found or not found.computed or found.unit != "examples":
        return 0.0
    then, now = last.inputs.model, model
    alike = (then.fingerprint, then.device, then.dtype, then.lora) == (now.fingerprint, now.device, now.dtype, now.lora)
    asked = settings.model_dump(mode="json")
    alike = alike and all(last.settings.get(part) == asked[part] for part in ("warmup", "influence", "features"))
    return found.seconds / (found.computed * count_checkpoints(settings) * _mean_tokens(pool)) if alike else 0.0


def _mean_tokens(examples: ExamplesRef) -> float:
    return examples.tokens / max(1, examples.examples)
