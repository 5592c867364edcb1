"""Batched per-example gradients against autograd on one example at a time, the slow and certain way."""

from collections.abc import Callable

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from less_core.errors import ConfigError
from less_core.model.adapter import lora_parameters
from less_core.model.gradients import PerExampleGradients, Slot
from less_core.model.loading import add_lora
from less_core.model.losses import IGNORE
from less_core.settings.select import LoraSettings

MODULES = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"],
    "grouped-query": ["q_proj", "v_proj"],
    "gpt2": ["c_attn", "c_proj"],
}


def make(name: str, base_models: dict[str, Callable[[], PreTrainedModel]]) -> PeftModel:
    model = add_lora(base_models[name](), LoraSettings(rank=4, alpha=16, dropout=0.5, target_modules=MODULES[name]))
    torch.manual_seed(1)
    for parameter in lora_parameters(model).values():  # B is zero at first, and then A has no gradient
        parameter.data.normal_(std=0.1)
    return model.eval()


def examples(lengths: list[int], seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    out = []
    for length in lengths:
        ids = torch.randint(3, 400, (length,), generator=generator)
        labels = torch.where(torch.rand(length, generator=generator) < 0.5, ids, IGNORE)
        labels[-1] = ids[-1]
        out.append((ids, labels))
    return out


def pad(batch: list[tuple[Tensor, Tensor]], extra: int, token: int) -> tuple[Tensor, Tensor]:
    longest = max(len(ids) for ids, _ in batch) + extra
    input_ids = torch.full((len(batch), longest), token)
    labels = torch.full((len(batch), longest), IGNORE)
    for row, (ids, lab) in enumerate(batch):
        input_ids[row, : len(ids)], labels[row, : len(lab)] = ids, lab
    return input_ids, labels


def flat_gradients(model: PeftModel, batch: list[tuple[Tensor, Tensor]], extra: int = 0, token: int = 0) -> tuple[Tensor, Tensor]:
    gradients = PerExampleGradients(model)
    out = torch.full((len(batch), gradients.size), torch.nan)

    def consume(slot: Slot, gradient: Tensor) -> None:
        out[:, slot.start : slot.start + slot.size] = gradient

    losses = gradients.run(*pad(batch, extra, token), consume)
    return out, losses


def oracle(model: PeftModel, ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Autograd on one example, with the model's own loss: full logits, the mean over labelled tokens."""
    model.zero_grad()
    loss = model(input_ids=ids[None], labels=labels[None]).loss
    loss.backward()
    parameters = lora_parameters(model)
    return torch.cat([parameters[name].grad.flatten() for name in sorted(parameters)]), loss.detach()


@pytest.mark.parametrize("name", ["llama", "grouped-query", "gpt2"])
@pytest.mark.parametrize(("extra", "token"), [(0, 0), (7, 0), (7, 399)])
def test_gradients_of_a_batch_equal_autograd_on_each_example(base_models, name: str, extra: int, token: int) -> None:
    model = make(name, base_models)
    batch = examples([9, 31, 2, 17])
    ours, losses = flat_gradients(model, batch, extra, token)
    for row, (ids, labels) in enumerate(batch):
        theirs, loss = oracle(model, ids, labels)
        assert torch.linalg.norm(ours[row] - theirs) <= 1e-5 * torch.linalg.norm(theirs)
        torch.testing.assert_close(losses[row], loss, rtol=1e-5, atol=0)


def test_gradients_do_not_depend_on_the_rest_of_the_batch_or_its_order(base_models) -> None:
    model = make("grouped-query", base_models)
    batch = examples([9, 31, 2, 17, 31])
    whole, _ = flat_gradients(model, batch)
    turned, _ = flat_gradients(model, batch[::-1])
    alone = torch.cat([flat_gradients(model, [example])[0] for example in batch])
    for other in (turned.flip(0), alone):
        assert (torch.linalg.norm(whole - other, dim=1) <= 1e-5 * torch.linalg.norm(whole, dim=1)).all()


def test_gradients_leave_other_examples_finite_where_one_is_not(base_models) -> None:
    model = make("llama", base_models)
    batch = examples([9, 5])
    model.get_input_embeddings().weight.data[7] = torch.nan
    batch[0][0][3], batch[1] = 7, (batch[1][0].clamp(min=8), batch[1][1])
    model.get_output_embeddings().weight.data[7] = 0.0
    ours, _ = flat_gradients(model, batch)
    assert not torch.isfinite(ours[0]).all()
    assert torch.isfinite(ours[1]).all()


def test_gradients_refuse_a_model_with_dropout_on(base_models) -> None:
    model = make("llama", base_models).train()
    with pytest.raises(ConfigError, match="evaluation mode"):
        flat_gradients(model, examples([5]))


def test_gradients_leave_the_model_as_it_was(base_models) -> None:
    model = make("llama", base_models)
    before = {name: (p.clone(), p.requires_grad) for name, p in model.named_parameters()}
    flat_gradients(model, examples([5, 6]))
    assert all(torch.equal(p, before[name][0]) and p.requires_grad == before[name][1] for name, p in model.named_parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
