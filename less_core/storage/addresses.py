"""What an artifact of the store depends on, and so its address."""

from typing import Any

import torch

from less_core.features.requirements import kind_of, storage_of
from less_core.features.target_parts import TargetPart
from less_core.files.fingerprint import fingerprint, fingerprint_ids
from less_core.method.hashing import derive_seed
from less_core.method.projection import VERSION as PROJECTION_VERSION
from less_core.method.projection import multiprocessor_count
from less_core.refs import ModelRef, Side
from less_core.settings.compare import EvaluationSettings, TrainingSettings
from less_core.settings.select import FeatureSettings, SelectSettings, WarmupSettings

WARMUP_VERSION = 1
FEATURES_VERSION = 1  # of the gradient and its update
REPRESENTATION_VERSION = 1
INFLUENCE_VERSION = 1  # of exact inner products
TRAINING_VERSION = 1
EVALUATION_VERSION = 1


def warmup_address(model: ModelRef, settings: WarmupSettings, example_ids: list[str]) -> str:
    """Return the address of a warmup on these examples."""
    return fingerprint(
        {
            "version": WARMUP_VERSION,
            "model": model.fingerprint,
            "encoding": model.encoding,
            "dtype": model.dtype,
            "lora": model.lora.model_dump(),
            "settings": settings.model_dump(exclude={"kind", "checkpoints", "fraction"}),
            "examples": fingerprint_ids(example_ids),
        }
    )


def untrained_address(model: ModelRef, settings: WarmupSettings) -> str:
    """Return the address of an adapter that was drawn and not trained."""
    return fingerprint({"untrained": settings.kind, "model": model.fingerprint, "lora": model.lora.model_dump(), "seed": settings.seed})


def training_address(model: ModelRef, settings: TrainingSettings, seed: int, example_ids: list[str]) -> str:
    """Return the address of a fine-tuning on these examples, whatever their order."""
    how = settings.model_dump(exclude={"model", "dtype", "template", "lora", "max_length"})
    return fingerprint(
        {
            "version": TRAINING_VERSION,
            "model": model.fingerprint,
            "encoding": model.encoding,
            "dtype": model.dtype if settings.kind == "lora" else "float32",
            "lora": model.lora.model_dump() if settings.kind == "lora" else None,
            "settings": how,
            "seed": seed,
            "examples": fingerprint_ids(example_ids),
        }
    )


def evaluation_address(training: str, model: ModelRef, settings: EvaluationSettings, held_out: str) -> str:
    """Return the address of a trained model's evaluation on held-out examples of that digest."""
    return fingerprint(
        {
            "version": EVALUATION_VERSION,
            "training": training,
            "encoding": model.encoding,
            "dtype": model.dtype,
            "held_out": held_out,
            "settings": settings.model_dump(exclude={"held_out"}),
        }
    )


def imported_address(model: ModelRef, path: str) -> str:
    """Return where a checkpoint made elsewhere is kept. It is converted anew in every run; its content decides its fingerprint."""
    return fingerprint({"imported": path, "model": model.fingerprint})


def projection_seed(settings: FeatureSettings, checkpoint: str) -> int:
    """Return the seed of the projection at the checkpoint of that fingerprint, the same for pool and target examples."""
    projection = settings.projection
    return derive_seed(projection.seed, checkpoint if projection.seed_per_checkpoint else "")


def feature_address(model: ModelRef, checkpoint: str, settings: FeatureSettings, gradient: str, storage: str) -> str:
    """Return the address of one kind of features at the checkpoint of that fingerprint. Fidelity matters to Adam's update only.

    Representations are of the base model, whatever the checkpoint; imported gradients are as their files are, whatever the model.
    """
    projection = settings.projection
    if gradient in ("rds", "rds+"):
        of = {"version": REPRESENTATION_VERSION, "model": model.fingerprint, "encoding": model.encoding, "dtype": model.dtype}
        return fingerprint(of | {"representation": gradient, "storage": storage})
    if gradient.startswith("imported"):
        return fingerprint({"version": FEATURES_VERSION, gradient: checkpoint, "storage": storage})
    return fingerprint(
        _gradients_of(model, checkpoint, settings, gradient)
        | {
            "projection": [PROJECTION_VERSION, projection.kind, projection.dim, projection_seed(settings, checkpoint)],
            "multiprocessors": multiprocessor_count(torch.device("cuda")) if projection.kind == "fast-jl" else 0,
            "storage": storage,
        }
    )


def features_fingerprint(settings: SelectSettings, model: ModelRef, checkpoint: str, side: Side) -> str:
    """Return the fingerprint of a side's features at the checkpoint of that fingerprint."""
    kind = f"imported {side}" if settings.imported.pool else kind_of(settings, side)
    return feature_address(model, checkpoint, settings.features, kind, storage_of(settings, side))


def products_fingerprint(settings: SelectSettings, model: ModelRef, checkpoint: str, part: TargetPart) -> str:
    """Return the fingerprint of pool examples' exact products with a target part at the checkpoint of that fingerprint."""
    address = influence_address(model, checkpoint, settings.features, kind_of(settings, "pool"))
    return f"{address}/{part_address(settings, part)}"


def influence_address(model: ModelRef, checkpoint: str, settings: FeatureSettings, gradient: str) -> str:
    """Return the address of exact influence at the checkpoint of that fingerprint, whatever the target."""
    return fingerprint(_gradients_of(model, checkpoint, settings, gradient) | {"exact": INFLUENCE_VERSION})


def target_address(subtasks: list[list[str]], fidelity: str, similarity: str, dtype: str) -> str:
    """Return the address of target gradients: of the example ids of each subtask, in order, and how they are put together."""
    made = "mean" if similarity == "dot" else {"less-code": "mean of directions", "paper": "direction of the mean"}[fidelity]
    return fingerprint({"subtasks": subtasks, "gradients": made, "dtype": dtype})


def part_address(settings: SelectSettings, part: TargetPart) -> str:
    """Return the address of a part's gradients, whatever the checkpoint."""
    return target_address(part.example_ids, settings.features.fidelity, settings.influence.similarity, part.dtype)


def _gradients_of(model: ModelRef, checkpoint: str, settings: FeatureSettings, gradient: str) -> dict[str, Any]:
    return {
        "version": FEATURES_VERSION,
        "model": model.fingerprint,
        "encoding": model.encoding,
        "dtype": model.dtype,
        "checkpoint": checkpoint,
        "gradient": gradient,
        "fidelity": settings.fidelity if gradient == "adam" else "",
    }
