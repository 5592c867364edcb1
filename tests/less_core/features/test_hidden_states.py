"""Hidden states against those that the model itself hands out, one example at a time, without an adapter."""

from collections.abc import Callable

import pytest
import torch
from peft import PeftModel
from samples import encoded_examples
from torch import Tensor
from transformers import PreTrainedModel

from less_core.data.encoding import EncodedExample
from less_core.features.hidden_states import RepresentationExtractor, pool_states
from less_core.model.adapter import lora_parameters
from less_core.model.loading import add_lora
from less_core.model.losses import IGNORE
from less_core.settings.select import LoraSettings

NAMES = ("llama", "grouped-query", "gpt2")
POOLINGS = ("rds", "rds+")


def with_adapter(name: str, base_models: dict[str, Callable[[], PreTrainedModel]]) -> PeftModel:
    """The model with an adapter that changes what it says."""
    model = add_lora(
        base_models[name](), LoraSettings(rank=2, alpha=64, target_modules=["c_attn"] if name == "gpt2" else ["q_proj", "v_proj"])
    )
    torch.manual_seed(1)
    for parameter in lora_parameters(model).values():
        parameter.data.normal_(std=0.5)
    return model.eval()


def literal(base: PreTrainedModel, example: EncodedExample, pooling: str) -> Tensor:
    with torch.no_grad():
        states = base(input_ids=torch.tensor([example.input_ids]), output_hidden_states=True).hidden_states[-1][0].double()
    if pooling == "rds":
        return states[len(example.input_ids) - 1]
    total, weight = torch.zeros(states.shape[1], dtype=torch.float64), 0
    for position, state in enumerate(states, 1):
        total += position * state
        weight += position
    return total / weight


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", NAMES)
def test_representations_are_the_base_models_own_hidden_states(base_models, name: str, pooling: str) -> None:
    examples, base = encoded_examples(), base_models[name]()
    found = RepresentationExtractor(with_adapter(name, base_models), pooling).extract(examples, 40)[0]
    expected = torch.stack([literal(base, example, pooling) for example in examples])
    assert found.features.shape == (len(examples), 32)
    torch.testing.assert_close(found.norms.double(), expected.norm(dim=1), rtol=1e-5, atol=0)
    torch.testing.assert_close(found.features.double(), torch.nn.functional.normalize(expected, dim=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_the_base_models_own(base_models, name: str) -> None:
    examples, base = encoded_examples(), base_models[name]()
    found = RepresentationExtractor(with_adapter(name, base_models), "rds").extract(examples, 40)[0]
    for example, loss in zip(examples, found.losses.tolist(), strict=True):
        ids = torch.tensor([example.input_ids])
        with torch.no_grad():
            own = base(input_ids=ids, labels=torch.where(torch.tensor([example.label_mask]), ids, IGNORE)).loss
        assert loss == pytest.approx(float(own), rel=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_representations_do_not_depend_on_batches_order_or_labels(base_models, pooling: str) -> None:
    examples = encoded_examples()
    extractor = RepresentationExtractor(with_adapter("grouped-query", base_models), pooling)
    alone = extractor.extract(examples, 1)[0]
    other = [EncodedExample(e.example_id, e.input_ids, [True] * len(e.input_ids), e.truncated) for e in reversed(examples)]
    together = extractor.extract(other, 10_000)[0]
    torch.testing.assert_close(together.features.flip(0), alone.features, rtol=0, atol=1e-6)
    torch.testing.assert_close(together.norms.flip(0), alone.norms, rtol=1e-5, atol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", NAMES)
def test_representations_do_not_depend_on_the_padding(base_models, name: str, pooling: str) -> None:
    extractor = RepresentationExtractor(with_adapter(name, base_models), pooling)
    ids = torch.tensor(encoded_examples(1)[0].input_ids)
    length = len(ids)
    padded = torch.stack([torch.cat([ids, torch.full((extra,), token)]) for extra, token in ((6, 0), (6, 7))])
    labels = torch.full_like(padded, IGNORE)
    labels[:, length - 2 : length] = ids[-2:]
    ((rows, norms),), losses = extractor.compute(padded, labels, torch.tensor([length, length]))
    ((alone, _),), loss = extractor.compute(padded[:1, :length], labels[:1, :length], torch.tensor([length]))
    torch.testing.assert_close(rows, alone.expand(2, -1), rtol=0, atol=1e-5)
    torch.testing.assert_close(norms, rows.norm(dim=1))
    torch.testing.assert_close(losses, loss.expand(2), rtol=1e-5, atol=0)


def test_a_trained_adapter_does_not_matter_and_is_there_again_afterwards(base_models) -> None:
    trained = with_adapter("grouped-query", base_models)
    fresh = add_lora(base_models["grouped-query"](), LoraSettings(rank=2, alpha=64, target_modules=["q_proj", "v_proj"])).eval()
    ids = torch.tensor([encoded_examples(1)[0].input_ids])
    with torch.no_grad():
        before = trained(input_ids=ids).logits
        assert not torch.allclose(before, fresh(input_ids=ids).logits, atol=1e-2)  # the adapter does something
        found = [RepresentationExtractor(model, "rds").extract(encoded_examples(), 40)[0].features for model in (trained, fresh)]
        assert torch.equal(*found)
        assert torch.equal(trained(input_ids=ids).logits, before)


def test_an_example_without_a_label_is_flagged_and_has_no_representation(base_models) -> None:
    examples = encoded_examples(3)
    examples[1] = EncodedExample("none", examples[1].input_ids, [False] * len(examples[1].input_ids), truncated=True)
    found = RepresentationExtractor(with_adapter("gpt2", base_models), "rds+").extract(examples, 40)[0]
    assert found.status == ["ok", "no_label", "ok"]
    assert not found.features[1].any()


def test_representations_of_a_model_in_bfloat16_are_float32(base_models) -> None:
    model = add_lora(base_models["llama"]().bfloat16(), LoraSettings(rank=2, alpha=4, target_modules=["q_proj"])).eval()
    ids = torch.tensor([encoded_examples(1)[0].input_ids])
    ((rows, _),), losses = RepresentationExtractor(model, "rds").compute(ids, ids, torch.tensor([ids.shape[1]]))
    assert (rows.dtype, losses.dtype) == (torch.float32, torch.float32)


def test_a_pass_that_fails_leaves_no_hook(base_models) -> None:
    model = with_adapter("llama", base_models)
    ids = torch.tensor([[3, 10_000, 4]])  # no such token
    with pytest.raises(IndexError):
        RepresentationExtractor(model, "rds").compute(ids, ids, torch.tensor([3]))
    assert not model.get_output_embeddings()._forward_pre_hooks


def test_pool_states_weighs_by_position_and_leaves_out_the_padding() -> None:
    states = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [4.0, 4.0]], [[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])
    lengths = torch.tensor([3, 2])
    assert pool_states(states, lengths, "rds").tolist() == [[4.0, 4.0], [0.0, 1.0]]
    torch.testing.assert_close(pool_states(states, lengths, "rds+"), torch.tensor([[13 / 6, 14 / 6], [1 / 3, 2 / 3]]))
