"""Parts of targets: which subtasks' whole gradients are in memory together, and in what precision."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from less_core.errors import ConfigError
from less_core.features.target_rows import UsableTarget
from less_core.method.products import laid_out_rows

BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2}


class TargetPart(BaseModel):
    """Some subtasks of a target, whose gradients are in memory together with those of all parts of its group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    subtasks: list[str]
    example_ids: list[list[str]]  # the usable examples of each subtask
    group: int  # from 0
    dtype: Literal["float32", "bfloat16"]


def divide_targets(targets: Sequence[UsableTarget], coordinates: int, memory: float) -> list[TargetPart]:
    """Return targets in parts that fit into memory: float32 where all do, else bfloat16, else in groups of subtasks.

    Args:
        targets: With their usable examples.
        coordinates: LoRA weights of the model.
        memory: For target gradients, in GB.

    Raises:
        ConfigError: Not even one subtask's gradient fits.
    """
    as_float32 = sum(part_bytes(len(target.scored.subtasks), coordinates, "float32") for target in targets)
    dtype: Literal["float32", "bfloat16"] = "float32" if as_float32 <= memory * 1e9 else "bfloat16"
    room = int(memory * 1e9 / (coordinates * BYTES[dtype]))
    if not room:
        needed = f"{part_bytes(1, coordinates, dtype) / 1e9:.3g} GB for the gradient of one subtask"
        raise ConfigError("influence.target_memory", needed, f"{memory:g}", "Raise it, lower model.lora.rank or use scoring: store.")
    parts = []
    taken = 0
    for target in targets:
        left = list(zip(target.scored.subtasks, target.by_subtask, strict=True))
        while left:
            here = left[: room - taken % room]
            left = left[len(here) :]
            names, ids = [name for name, _ in here], [of_it for _, of_it in here]
            parts.append(TargetPart(target=target.scored.name, subtasks=names, example_ids=ids, group=taken // room, dtype=dtype))
            taken += len(here)
    return parts


def count_groups(parts: Sequence[TargetPart]) -> int:
    """Return how many passes over the pool some parts take, in their order; one where there are none."""
    return parts[-1].group + 1 if parts else 1


def part_bytes(subtasks: int, coordinates: int, dtype: str) -> int:
    """Return the memory that the gradients of a part of so many subtasks take at most, laid out for products."""
    return (laid_out_rows(subtasks) if dtype == "float32" else subtasks) * coordinates * BYTES[dtype]
