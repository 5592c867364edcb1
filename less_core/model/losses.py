"""Each example's loss, its logits made at labelled positions only and a piece at a time: the vocabulary is by far the widest layer."""

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

IGNORE = -100  # label of a token that carries none
TRIED = 4  # tokens that tell whether a model changes its logits
PIECE = 1 << 23  # logits in memory at a time: 32 MB of float32, which a CPU is faster with than with 128

_PLAIN: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()  # output layers whose product is what the model calls logits


def example_losses(model: Any, input_ids: Tensor, labels: Tensor) -> Tensor:
    """Return each example's mean cross-entropy over the tokens that carry a label, float32 [batch].

    Args:
        model: A causal language model.
        input_ids: int64 [batch, length], padded on the right with any token.
        labels: int64 [batch, length], `IGNORE` where a token carries no label; each row has at least one after its first token. Left on the
            CPU, nothing here waits for a GPU.
    """
    rows, columns = (labels[:, 1:] != IGNORE).nonzero(as_tuple=True)
    tokens = labels[rows, columns + 1]
    counts = torch.bincount(rows, minlength=len(labels))
    places, tokens, rows, counts = (ahead(x, input_ids.device) for x in (rows * labels.shape[1] + columns, tokens, rows, counts))
    if has_plain_head(model):
        states, _ = _run(model, input_ids, places, 1)
        token_losses = _LossesInPieces.apply(states, model.get_output_embeddings(), tokens)
    else:
        _, logits = _run(model, input_ids, places, len(tokens))
        token_losses = _cross_entropy(logits, tokens)
    return torch.zeros(len(labels), device=input_ids.device).index_add(0, rows, token_losses) / counts


def has_plain_head(model: Any) -> bool:
    """Tell whether a model's logits are what its output layer gives; some scale or cap them, and only the model can do that.

    Found out once, by the model's answer to a few tokens.
    """
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear:
        return False
    if head not in _PLAIN:
        places = torch.arange(TRIED, device=head.weight.device)
        with torch.no_grad():
            states, logits = _run(model, places[None] * (head.out_features // TRIED), places, TRIED)
            itself, answer = head(states[None])[0].nan_to_num(), logits.nan_to_num()
        _PLAIN[head] = torch.equal(itself, answer) and bool(answer.any())  # zeros stay zeros whatever is done to them
    return _PLAIN[head]


def ahead(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor so that the host does not wait for what the device is still at."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _run(model: Any, input_ids: Tensor, places: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the states [places, width] that the output layer is given, and the logits [count, vocabulary] of the first of them."""
    kept: list[Tensor] = []

    def keep_labelled(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        kept.append(inputs[0].flatten(0, 1).index_select(0, places))
        return (kept[0][None, :count],)

    handle = model.get_output_embeddings().register_forward_pre_hook(keep_labelled)
    try:
        logits = model(input_ids=input_ids, use_cache=False).logits[0]
    finally:
        handle.remove()
    return kept[0], logits


def _cross_entropy(logits: Tensor, tokens: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.float(), tokens, reduction="none")


class _LossesInPieces(torch.autograd.Function):
    """Cross-entropy of a linear layer's output, float32 [n]; its gradient is taken with each piece, so no logits are kept for later."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, head: nn.Linear, tokens: Tensor) -> Tensor:
        rows = max(1, PIECE // head.out_features)
        losses, gradients = [], []
        for piece, target in zip(states.split(rows), tokens.split(rows), strict=True):
            with torch.set_grad_enabled(ctx.needs_input_grad[0]):
                leaf = piece.detach().requires_grad_(ctx.needs_input_grad[0])
                losses.append(_cross_entropy(head(leaf), target))
                if ctx.needs_input_grad[0]:
                    gradients.append(torch.autograd.grad(losses[-1].sum(), leaf)[0])
            losses[-1] = losses[-1].detach()
        if gradients:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (gradients,) = ctx.saved_tensors
        return gradients * upstream[:, None].to(gradients.dtype), None, None
