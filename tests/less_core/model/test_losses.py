"""Losses at labelled positions, a piece at a time, against a model's own."""

import pytest
import torch
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2ForCausalLM

from less_core.model import losses as module
from less_core.model.losses import IGNORE, example_losses, has_plain_head


def batch(vocabulary: int = 400) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, vocabulary, (3, 20), generator=generator)
    labels = torch.where(torch.rand(3, 20, generator=generator) < 0.5, ids, IGNORE)
    labels[:, 10] = ids[:, 10]
    return ids, labels


def gemma(cap: float | None) -> nn.Module:
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        final_logit_softcapping=cap,
    )
    return Gemma2ForCausalLM(config).eval()


def whole(model: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([model(input_ids=row[None], labels=label[None]).loss for row, label in zip(ids, labels, strict=True)])


@pytest.mark.parametrize("piece", [1, 400 * 7, 1 << 25])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_losses_and_their_gradient_equal_the_models_own_whatever_the_piece(base_models, name: str, piece: int, monkeypatch) -> None:
    monkeypatch.setattr(module, "PIECE", piece)
    model = base_models[name]()
    ids, labels = batch()
    upstream = torch.tensor([1.0, -2.0, 0.5])
    weight = model.get_input_embeddings().weight
    for parameter in model.get_output_embeddings().parameters():
        parameter.requires_grad_(False)
    norm = next(p for n, p in model.named_parameters() if n.endswith(("model.norm.weight", "ln_f.weight")))
    found = []
    for compute in (example_losses, whole):
        values = compute(model, ids, labels)
        (values * upstream).sum().backward()
        found.append((values.detach(), norm.grad.clone()))
        norm.grad = weight.grad = None
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("cap", "plain"), [(None, True), (0.5, False)])
def test_model_that_caps_its_logits_caps_them_here_too(cap: float | None, plain: bool) -> None:
    model = gemma(cap)
    ids, labels = batch()
    assert has_plain_head(model) is plain
    torch.testing.assert_close(example_losses(model, ids, labels), whole(model, ids, labels), rtol=1e-5, atol=1e-6)


def test_no_more_logits_are_made_at_a_time_than_a_piece(base_models, monkeypatch) -> None:
    monkeypatch.setattr(module, "PIECE", 400 * 4)
    model = base_models["llama"]()
    assert has_plain_head(model)  # asked once, before it is counted
    seen: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda head, inputs, output: seen.append(output.shape[-2]))
    ids, labels = batch()
    example_losses(model, ids, labels)
    assert max(seen) == 4
    assert sum(seen) == 1 + int((labels[:, 1:] != IGNORE).sum())  # the model's own forward makes one


def test_losses_in_inference_mode_keep_nothing_for_a_gradient(base_models) -> None:
    model = base_models["llama"]()
    ids, labels = batch()
    with torch.inference_mode():
        found = example_losses(model, ids, labels)
    torch.testing.assert_close(found, whole(model, ids, labels).detach())
