"""Exact gradients of each example's loss with respect to the LoRA weights, many examples in one forward and backward.

With base and LoRA weights frozen, autograd forms no weight gradient. A forward hook keeps the input x of each LoRA matrix, a
hook on its output receives the output's gradient g, and the gradient of example b is the outer product summed over tokens,
einsum("bto,bti->boi") (Goodfellow 2015, arXiv 1510.01799, for sequences). Each is handed on and dropped at once, so the full
gradient of a batch never exists. Examples do not mix: they are padded on the right and attention is causal, so a padded position is
seen by nothing that has a loss, and its own g is zero.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from less_core.errors import ConfigError
from less_core.model.adapter import canonical_name
from less_core.model.losses import example_losses, has_plain_head


@dataclass(frozen=True)
class Slot:
    """One LoRA matrix and its place in the flattened gradient. The order is that of the names, so it is the same for every run."""

    name: str
    module: nn.Linear
    start: int

    @property
    def size(self) -> int:
        return self.module.weight.numel()


def lora_slots(model: PeftModel) -> list[Slot]:
    """Return the LoRA matrices of a model in order of name.

    Raises:
        ConfigError: A LoRA matrix is not a linear layer (an embedding or a convolution).
    """
    modules: dict[str, nn.Linear] = {}
    for name, module in model.named_modules():
        if name.endswith((".lora_A.default", ".lora_B.default")):
            if not isinstance(module, nn.Linear):
                raise ConfigError(
                    "model.lora.target_modules", "linear layers", f"{name} ({type(module).__name__})", "Leave this module out."
                )
            modules[canonical_name(name + ".weight")] = module
    slots, start = [], 0
    for name in sorted(modules):
        slots.append(Slot(name, modules[name], start))
        start += slots[-1].size
    return slots


class PerExampleGradients:
    """Takes per-example gradients of one model.

    Args:
        model: In evaluation mode: dropout would make a gradient depend on chance.
    """

    def __init__(self, model: PeftModel) -> None:
        self.model = model
        has_plain_head(model)  # asked now: no module may run twice while gradients are taken
        self.slots = lora_slots(model)
        self.size = sum(slot.size for slot in self.slots)
        self.largest = max(slot.size for slot in self.slots)

    def run(self, input_ids: Tensor, labels: Tensor, consume: Callable[[Slot, Tensor], None]) -> Tensor:
        """Hand each LoRA matrix's gradients to `consume` as float32 [batch, slot.size], in backward order; return losses [batch].

        What `consume` is given is its own to overwrite, until it returns.

        Raises:
            ConfigError: The model is not in evaluation mode, or does not keep a batch of sequences apart.
        """
        training = [name for name, module in self.model.named_modules() if module.training]
        if training:
            raise ConfigError(
                "features", "a model in evaluation mode, without dropout", f"{training[0] or 'the model'} in training mode", "Call eval()."
            )
        seen: set[str] = set()
        space = torch.empty(len(input_ids) * self.largest, device=input_ids.device)

        def watch(slot: Slot) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
            def forward_hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
                x = inputs[0].detach()
                if x.dim() != 3 or len(x) != len(input_ids) or slot.name in seen:
                    got = f"{slot.name} with input {list(x.shape)}" + (", called twice" if slot.name in seen else "")
                    raise ConfigError(
                        "model.lora.target_modules", "modules called once on [batch, length, width]", got, "Leave this module out."
                    )
                seen.add(slot.name)

                def output_hook(g: Tensor) -> None:
                    # Hooks of tensors run without autograd, so this builds no graph.
                    batch, _, rows = g.shape
                    gradient = space[: batch * slot.size].view(batch, rows, x.shape[2])
                    _outer_products(g, x, gradient)
                    consume(slot, gradient.flatten(1))

                output.register_hook(output_hook)

            return forward_hook

        with _frozen(self.model), _embeddings_need_gradient(self.model):
            handles = [slot.module.register_forward_hook(watch(slot)) for slot in self.slots]
            try:
                losses = example_losses(self.model, input_ids, labels)
                # The sum's gradient, taken for each example alone, is the gradient of that example's own mean loss.
                losses.sum().backward()
            finally:
                for handle in handles:
                    handle.remove()
        return losses.detach()


def _outer_products(g: Tensor, x: Tensor, out: Tensor) -> None:
    """Write ``einsum("bto,bti->boi")`` to float32 `out`, with float32 sums whatever the dtype of `g` and `x`."""
    if g.is_cuda and g.dtype == x.dtype != torch.float32:
        torch.bmm(g.transpose(1, 2), x, out_dtype=torch.float32, out=out)
    else:
        torch.bmm(g.float().transpose(1, 2), x.float(), out=out)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    trainable = [p for p in model.parameters() if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)


@contextmanager
def _embeddings_need_gradient(model: PeftModel) -> Iterator[None]:
    """Give autograd something to differentiate by, since every weight is frozen."""

    def require(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output.detach().requires_grad_(True)

    handle = model.get_input_embeddings().register_forward_hook(require)
    try:
        yield
    finally:
        handle.remove()
