"""Whole gradients of targets: what exact influence multiplies train gradients with, in memory for one checkpoint at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from less_core.data.encoding import EncodedExample
from less_core.method.adam import Fidelity
from less_core.method.influence import Similarity
from less_core.method.products import lay_out
from less_core.model.batching import collate, fill_batches
from less_core.model.gradients import PerExampleGradients, Slot

AT_ONCE = 4  # examples whose whole gradients are in memory together while they are averaged


@dataclass(frozen=True)
class TargetGradients:
    """A row for each subtask, of the whole gradient, kept by LoRA matrix."""

    subtasks: int
    by_matrix: dict[str, list[Tensor]]  # by name: [subtasks, slot.size] as `lay_out` returns it


def subtask_gradients(
    gradients: PerExampleGradients,
    subtasks: Sequence[Sequence[EncodedExample]],
    *,
    fidelity: Fidelity,
    similarity: Similarity,
    dtype: torch.dtype,
    batch_tokens: int,
    on_batch: Callable[[int], None] = lambda tokens: None,
) -> TargetGradients:
    """Return the subtasks' gradients in `dtype`, what `subtask_vectors` makes of features, here of whole gradients.

    ``less-code``: the mean of the examples' directions. ``paper``: the direction of the mean. With the dot product both are the mean.

    Args:
        gradients: Of the model at a checkpoint.
        subtasks: The examples of each.
        fidelity: Whether examples are averaged before or after they are normalised.
        similarity: cosine, or the dot product.
        dtype: The mean is taken in float32, and then kept in this.
        batch_tokens: Padded tokens a batch.
        on_batch: Called after every batch with the number of its tokens; what it raises ends the work.
    """
    device = gradients.model.device
    by_matrix = {slot.name: torch.empty(len(subtasks), slot.size, dtype=dtype, device=device) for slot in gradients.slots}
    for row, examples in enumerate(subtasks):
        mean = torch.zeros(gradients.size, device=device)
        for batch in _few(fill_batches([len(e.input_ids) for e in examples], batch_tokens)):
            whole = _whole_gradients(gradients, [examples[place] for place in batch])
            if fidelity == "less-code" and similarity == "cosine":
                whole.div_(_norms(whole)[:, None])
            mean += whole.sum(dim=0)
            on_batch(sum(len(examples[place].input_ids) for place in batch))
        mean /= len(examples)
        if fidelity == "paper" and similarity == "cosine":
            mean.div_(_norms(mean[None]))
        for slot in gradients.slots:
            by_matrix[slot.name][row] = mean[slot.start : slot.start + slot.size]
    # Taken out one by one, so that a matrix's rows are in memory twice and no other's.
    return TargetGradients(len(subtasks), {slot.name: lay_out(by_matrix.pop(slot.name)) for slot in gradients.slots})


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
