"""What an artifact of the store depends on, and so its address."""

import torch

from less_core.config import FeatureSettings, WarmupSettings
from less_core.fingerprint import fingerprint, fingerprint_ids
from less_core.method.hashing import derive_seed
from less_core.method.projection import VERSION as PROJECTION_VERSION
from less_core.method.projection import multiprocessor_count
from less_core.refs import ModelRef

WARMUP_VERSION = 1
FEATURES_VERSION = 1  # of the gradient and its update


def warmup_address(model: ModelRef, settings: WarmupSettings, example_ids: list[str]) -> str:
    """Return the address of a warmup on these examples."""
    return fingerprint(
        {
            "version": WARMUP_VERSION,
            "model": model.fingerprint,
            "encoding": model.encoding,
            "dtype": model.dtype,
            "lora": model.lora.model_dump(),
            "settings": settings.model_dump(exclude={"checkpoints", "fraction"}),
            "examples": fingerprint_ids(example_ids),
        }
    )


def imported_address(model: ModelRef, path: str) -> str:
    """Return where a checkpoint made elsewhere is kept. It is converted anew in every run; its content decides its fingerprint."""
    return fingerprint({"imported": path, "model": model.fingerprint})


def projection_seed(settings: FeatureSettings, checkpoint: str) -> int:
    """Return the seed of the projection at the checkpoint of that fingerprint, the same for pool and target examples."""
    projection = settings.projection
    return derive_seed(projection.seed, checkpoint if projection.seed_per_checkpoint else "")


def feature_address(model: ModelRef, checkpoint: str, settings: FeatureSettings, gradient: str) -> str:
    """Return the address of one kind of features at the checkpoint of that fingerprint. Fidelity matters to Adam's update only."""
    projection = settings.projection
    return fingerprint(
        {
            "version": FEATURES_VERSION,
            "model": model.fingerprint,
            "encoding": model.encoding,
            "dtype": model.dtype,
            "checkpoint": checkpoint,
            "gradient": gradient,
            "fidelity": settings.fidelity if gradient == "adam" else "",
            "projection": [PROJECTION_VERSION, projection.kind, projection.dim, projection_seed(settings, checkpoint)],
            "multiprocessors": multiprocessor_count(torch.device("cuda")) if projection.kind == "fast-jl" else 0,
            "storage": settings.storage,
        }
    )
