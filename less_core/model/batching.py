"""Putting encoded examples together: padded tensors, and batches filled to a token budget."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from less_core.data.encoding import EncodedExample
from less_core.model.losses import IGNORE


def collate(examples: Sequence[EncodedExample]) -> dict[str, Tensor]:
    """Return `input_ids` and `labels`, int64 [batch, longest], padded on the right.

    Attention is causal, so nothing that carries a label sees the padding and no attention mask is needed.
    """
    longest = max(len(e.input_ids) for e in examples)
    input_ids = torch.zeros(len(examples), longest, dtype=torch.int64)
    labels = torch.full((len(examples), longest), IGNORE, dtype=torch.int64)
    for row, example in enumerate(examples):
        ids = torch.tensor(example.input_ids)
        input_ids[row, : len(ids)] = ids
        labels[row, : len(ids)] = torch.where(torch.tensor(example.label_mask), ids, IGNORE)
    return {"input_ids": input_ids, "labels": labels}


def fill_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield lists of places so that longest x count stays within `budget` tokens, longest first; a longer example is alone.

    The longest batch comes first, so that memory runs out at once or not at all.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and lengths[batch[0]] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
