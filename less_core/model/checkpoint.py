"""A checkpoint in memory: the adapter and Adam's moments after a warmup epoch."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class AdamState:
    """AdamW's moments by canonical parameter name, float32, after `step` optimizer steps."""

    step: int
    beta1: float
    beta2: float
    first_moment: dict[str, Tensor]
    second_moment: dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """What features are taken at. `learning_rate` is the mean over the epoch that ended here."""

    step: int
    learning_rate: float
    adapter_config: dict[str, Any]  # as peft's adapter_config.json has it
    adapter: dict[str, Tensor]
    adam: AdamState
