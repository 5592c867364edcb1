"""Whole gradients of targets: what exact influence multiplies train gradients with, in memory for one checkpoint at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from less_core.data.encoding import EncodedExample
from less_core.errors import ConfigError
from less_core.method.adam import Fidelity
from less_core.method.influence import Similarity
from less_core.model.batching import collate, fill_batches
from less_core.model.gradients import PerExampleGradients, Slot
from less_core.scoring import UsableTarget

AT_ONCE = 4  # examples whose whole gradients are in memory together while they are averaged
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
    subtasks = sum(len(target.scored.subtasks) for target in targets)
    dtype: Literal["float32", "bfloat16"] = "float32" if target_gigabytes(subtasks, coordinates, "float32") <= memory else "bfloat16"
    room = int(memory * 1e9 / (coordinates * BYTES[dtype]))
    if not room:
        needed = f"{target_gigabytes(1, coordinates, dtype):.3g} GB for the gradient of one subtask"
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


def target_gigabytes(subtasks: int, coordinates: int, dtype: str) -> float:
    """Return the memory that the gradients of some subtasks take."""
    return subtasks * coordinates * BYTES[dtype] / 1e9


def subtask_gradients(
    gradients: PerExampleGradients,
    subtasks: Sequence[Sequence[EncodedExample]],
    *,
    fidelity: Fidelity,
    similarity: Similarity,
    dtype: torch.dtype,
    batch_tokens: int,
    go_on: Callable[[], None] = lambda: None,
) -> Tensor:
    """Return [subtasks, coordinates] in `dtype`, what `subtask_vectors` makes of features, here of whole gradients.

    ``less-code``: the mean of the examples' directions. ``paper``: the direction of the mean. With the dot product both are the mean.

    Args:
        gradients: Of the model at a checkpoint.
        subtasks: The examples of each.
        fidelity: Whether examples are averaged before or after they are normalised.
        similarity: cosine, or the dot product.
        dtype: The mean is taken in float32, and then kept in this.
        batch_tokens: Padded tokens a batch.
        go_on: Called before every batch; what it raises ends the work.
    """
    device = gradients.model.device
    out = torch.empty(len(subtasks), gradients.size, dtype=dtype, device=device)
    for row, examples in zip(out, subtasks, strict=True):
        mean = torch.zeros(gradients.size, device=device)
        for batch in _few(fill_batches([len(e.input_ids) for e in examples], batch_tokens)):
            go_on()
            whole = _whole_gradients(gradients, [examples[place] for place in batch])
            if fidelity == "less-code" and similarity == "cosine":
                whole.div_(_norms(whole)[:, None])
            mean += whole.sum(dim=0)
        mean /= len(examples)
        if fidelity == "paper" and similarity == "cosine":
            mean.div_(_norms(mean[None]))
        row.copy_(mean)
    return out


def _few(batches: Iterator[list[int]]) -> Iterator[list[int]]:
    for batch in batches:
        for start in range(0, len(batch), AT_ONCE):
            yield batch[start : start + AT_ONCE]


def _whole_gradients(gradients: PerExampleGradients, examples: Sequence[EncodedExample]) -> Tensor:
    device = gradients.model.device
    whole = torch.empty(len(examples), gradients.size, device=device)

    def consume(slot: Slot, gradient: Tensor) -> None:
        whole[:, slot.start : slot.start + slot.size] = gradient

    batch = collate(examples)
    gradients.run(batch["input_ids"].to(device), batch["labels"], consume)
    return whole


def _norms(rows: Tensor) -> Tensor:
    """Return [rows]. Of many millions of coordinates, so squares are summed up in float64, a piece at a time."""
    squares = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
    for piece in rows.split(1 << 16, dim=1):
        squares += torch.linalg.vecdot(piece, piece)
    return squares.sqrt().float()
