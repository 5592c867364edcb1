"""Features of a text's hidden states (RDS): what the base model makes of an example, without a gradient."""

from typing import Literal

import torch
from peft import PeftModel
from torch import Tensor, nn

from less_core.features.extraction import Extractor
from less_core.features.rows import Rows
from less_core.model.losses import example_losses, has_plain_head

Pooling = Literal["rds", "rds+"]


class RepresentationExtractor(Extractor):
    """Computes the base model's representation of each example, and its loss.

    ``rds``: the last hidden state of the last token (Xia et al. 2024, section 5). ``rds+``: the mean of all tokens' last hidden states,
    token t of T weighted by t, counted from 1 (Ivison et al. 2025; Muennighoff 2022, arXiv 2202.08904).

    Args:
        model: In evaluation mode; its adapter is left out.
        pooling: Which of the two.
    """

    def __init__(self, model: PeftModel, pooling: Pooling) -> None:
        super().__init__([int(model.config.get_text_config().hidden_size)], model.device)
        self._model = model
        has_plain_head(model)  # asked now: below, what the output layer is given first must be the batch
        self._pooling = pooling

    def compute(self, input_ids: Tensor, labels: Tensor, lengths: Tensor) -> tuple[list[Rows], Tensor]:
        kept: list[Tensor] = []

        def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            kept.append(inputs[0])

        # What the output layer is given is the last hidden state, normalised as the model does it. Asked before `example_losses` cuts it
        # down to labelled tokens: hooks run in the order they were put in.
        handle = self._model.get_output_embeddings().register_forward_pre_hook(keep)
        try:
            with torch.no_grad(), self._model.disable_adapter():
                losses = example_losses(self._model, input_ids, labels)
        finally:
            handle.remove()
        states = pool_states(kept[0].float(), lengths, self._pooling)
        return [Rows(states, states.norm(dim=1))], losses


def pool_states(states: Tensor, lengths: Tensor, pooling: Pooling) -> Tensor:
    """Return one vector an example, [batch, width].

    Args:
        states: [batch, length, width], padded on the right.
        lengths: int64 [batch], tokens of each example.
        pooling: The last token's state, or the mean of all, weighted by position.
    """
    if pooling == "rds":
        return states[torch.arange(len(states), device=states.device), lengths - 1]
    position = torch.arange(1, states.shape[1] + 1, device=states.device)
    weights = torch.where(position <= lengths[:, None], position, 0).to(states.dtype)
    return torch.einsum("bt,btw->bw", weights / weights.sum(dim=1, keepdim=True), states)
