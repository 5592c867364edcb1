"""Loss on held-out examples."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from less_core.data.encoding import EncodedExample
from less_core.model.batching import collate, fill_batches
from less_core.model.losses import example_losses


def held_out_losses(
    model: nn.Module, examples: Sequence[EncodedExample], batch_tokens: int, on_batch: Callable[[int], None]
) -> list[float]:
    """Return each example's mean cross-entropy over its labelled tokens; examples without a label are left out.

    Args:
        model: A causal language model in evaluation mode.
        examples: In any order.
        batch_tokens: Padded tokens a batch.
        on_batch: Told the number of examples of every batch; what it raises ends the evaluation.
    """
    usable = [e for e in examples if e.num_label_tokens]
    losses = [0.0] * len(usable)
    device = next(model.parameters()).device
    for batch in fill_batches([len(e.input_ids) for e in usable], batch_tokens):
        tensors = collate([usable[i] for i in batch])
        with torch.inference_mode():
            found = example_losses(model, tensors["input_ids"].to(device), tensors["labels"])
        for place, loss in zip(batch, found.tolist(), strict=True):
            losses[place] = loss
        on_batch(len(batch))
    return losses
