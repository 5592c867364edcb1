"""Loss on held-out examples, against the model's own loss of one example at a time."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from samples import encoded_examples
from transformers import PreTrainedModel

from less_core.data.encoding import EncodedExample
from less_core.evaluation.loss import held_out_losses
from less_core.model.losses import IGNORE

Models = dict[str, Callable[[], PreTrainedModel]]


def shuffled() -> list[EncodedExample]:
    """Lengths of 5 to 14 tokens in no order, so that places are not those of batches."""
    examples = encoded_examples()
    random.Random(1).shuffle(examples)
    return examples


@torch.no_grad()
def literal(model: PreTrainedModel, example: EncodedExample) -> float:
    ids = torch.tensor([example.input_ids])
    return float(model(input_ids=ids, labels=torch.where(torch.tensor([example.label_mask]), ids, IGNORE)).loss)


@pytest.fixture(params=["llama", "grouped-query", "gpt2"])
def model(request: pytest.FixtureRequest, base_models: Models) -> PreTrainedModel:
    """A tiny model of large weights, so that a token's loss depends on those before it."""
    model = base_models[request.param]()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(4)
    return model


@pytest.mark.parametrize("batch_tokens", [1, 30, 64, 10**6])
def test_held_out_losses_equal_the_models_own_one_at_a_time_whatever_the_batch(model: PreTrainedModel, batch_tokens: int) -> None:
    examples, told = shuffled(), []
    losses = held_out_losses(model, examples, batch_tokens, told.append)
    assert losses == pytest.approx([literal(model, example) for example in examples], rel=1e-5)
    assert sum(told) == len(examples)
    assert len(told) == {1: 10, 10**6: 1}.get(batch_tokens, len(told))


def test_held_out_losses_leave_out_what_has_no_label_to_predict(base_models: Models) -> None:
    model, examples, told = base_models["llama"](), shuffled(), []
    expected = [literal(model, example) for place, example in enumerate(examples) if place not in (2, 5)]
    for place, labelled in ((2, []), (5, [0])):  # nothing stands before the first token to predict it from
        length = len(examples[place].input_ids)
        examples[place] = replace(examples[place], label_mask=[token in labelled for token in range(length)])
    assert held_out_losses(model, examples, 40, told.append) == pytest.approx(expected, rel=1e-5)
    assert sum(told) == 8


def test_held_out_losses_of_nothing_that_has_a_label_are_none(base_models: Models) -> None:
    without = [replace(example, label_mask=[False] * len(example.input_ids)) for example in encoded_examples(3)]
    for examples in ([], without):
        assert held_out_losses(base_models["llama"](), examples, 40, lambda count: None) == []


def test_held_out_losses_end_by_what_is_raised_after_a_batch_and_leave_the_model_as_it_was(base_models: Models) -> None:
    model, examples, told = base_models["llama"](), shuffled(), []
    before = literal(model, examples[0])

    def stop(count: int) -> None:
        told.append(count)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        held_out_losses(model, examples, 1, stop)
    assert told == [1, 1]
    assert literal(model, examples[0]) == before  # no hook stays behind
