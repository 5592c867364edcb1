"""Features: independent of batches, flags, and what happens when memory runs out."""

from dataclasses import replace

import pytest
import torch
from samples import encoded_examples

from less_core.errors import OutOfMemoryError
from less_core.features.extraction import GradientExtractor
from less_core.method.projection import Sketch
from less_core.model.adapter import lora_parameters
from less_core.model.checkpoint import AdamState
from less_core.model.gradients import PerExampleGradients
from less_core.model.loading import add_lora
from less_core.settings.select import LoraSettings


@pytest.fixture
def extractor(base_models) -> GradientExtractor:
    torch.manual_seed(0)
    model = add_lora(base_models["grouped-query"](), LoraSettings(rank=2, alpha=4, target_modules=["q_proj", "v_proj"])).eval()
    for parameter in lora_parameters(model).values():
        parameter.data.normal_(std=0.1)
    moments = [{name: torch.rand(p.shape) * 1e-4 for name, p in lora_parameters(model).items()} for _ in range(2)]
    adam = AdamState(3, 0.9, 0.999, *moments)
    return GradientExtractor(model, gradient="adam", fidelity="less-code", adam=adam, projection=Sketch(128, 0, torch.device("cpu")))


@pytest.mark.parametrize("batch_tokens", [1, 30, 10_000])
def test_features_are_of_norm_one_and_the_same_for_every_batch_budget(extractor, batch_tokens: int) -> None:
    examples = encoded_examples()
    whole = extractor.extract(examples, 64)[0]
    other = extractor.extract(examples[::-1], batch_tokens)[0]
    torch.testing.assert_close(whole.features, other.features.flip(0), rtol=0, atol=2e-6)
    torch.testing.assert_close(whole.features.norm(dim=1), torch.ones(len(examples)))
    assert other.example_ids == [e.example_id for e in examples[::-1]]


def test_example_without_a_label_is_flagged_and_costs_no_pass(extractor, monkeypatch) -> None:
    examples = encoded_examples(3)
    examples[1] = replace(examples[1], label_mask=[True] + [False] * (len(examples[1].input_ids) - 1))
    seen: list[int] = []
    run = PerExampleGradients.run
    monkeypatch.setattr(
        PerExampleGradients, "run", lambda self, ids, labels, consume: seen.append(len(ids)) or run(self, ids, labels, consume)
    )
    features = extractor.extract(examples, 1000)[0]
    assert features.status == ["ok", "no_label", "ok"]
    assert not features.features[1].any()
    assert sum(seen) == 2


def test_non_finite_gradient_is_flagged_alone(extractor) -> None:
    examples = [replace(e, input_ids=[max(i, 8) for i in e.input_ids]) for e in encoded_examples(4)]
    examples[2].input_ids[3] = 7
    extractor._gradients.model.get_input_embeddings().weight.data[7] = torch.inf
    features = extractor.extract(examples, 1000)[0]
    assert features.status == ["ok", "ok", "nonfinite", "ok"]
    assert not features.features[2].any()
    assert torch.isfinite(features.features).all()


def test_sign_of_a_gradient_that_is_not_finite_is_flagged_and_not_taken(extractor) -> None:
    model = extractor._gradients.model
    signs = GradientExtractor(model, gradient="sign", fidelity="less-code", adam=extractor._adam, projection=Sketch(128, 0, model.device))
    examples = [replace(e, input_ids=[max(i, 8) for i in e.input_ids]) for e in encoded_examples(4)]
    examples[2].input_ids[3] = 7
    model.get_input_embeddings().weight.data[7] = torch.nan
    model.get_output_embeddings().weight.data[7] = 0.0
    assert signs.extract(examples, 1000)[0].status == ["ok", "ok", "nonfinite", "ok"]
    slot = signs._gradients.slots[0]
    rows = torch.tensor([[torch.inf, -2.0, 0.0], [torch.nan, 3.0, -torch.inf]])
    assert torch.isnan(signs._update(slot, rows.clone(), torch.empty(2, 3))).tolist() == [[True, False, False], [True, False, True]]


def test_out_of_memory_halves_the_budget_and_loses_nothing(extractor, monkeypatch) -> None:
    examples = encoded_examples()
    expected = extractor.extract(examples, 1)[0]
    run, sizes, told = PerExampleGradients.run, [], []

    def limited(self, input_ids, labels, consume):
        sizes.append(input_ids.numel())
        if input_ids.numel() > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, input_ids, labels, consume)

    monkeypatch.setattr(PerExampleGradients, "run", limited)
    features = extractor.extract(examples, 160, lambda count, tokens: told.append((count, tokens)))[0]
    torch.testing.assert_close(features.features, expected.features, rtol=0, atol=2e-6)
    assert max(sizes) > 40 >= sizes[-1]
    assert sum(count for count, _ in told) == len(examples)
    assert sum(tokens for _, tokens in told) == sum(len(e.input_ids) for e in examples)


def test_example_that_does_not_fit_alone_is_an_error_that_names_it(extractor, monkeypatch) -> None:
    def never(self, input_ids, labels, consume):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(PerExampleGradients, "run", never)
    with pytest.raises(OutOfMemoryError, match="features of example 0: expected one example to fit"):
        extractor.extract(encoded_examples(1), 1000)


def test_other_runtime_errors_are_not_taken_for_lack_of_memory(extractor, monkeypatch) -> None:
    def broken(self, input_ids, labels, consume):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(PerExampleGradients, "run", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        extractor.extract(encoded_examples(2), 1000)
