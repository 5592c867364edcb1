"""What `extraction_data.py` and `extraction_shape.py` compare: floors, this project's extraction, the LESS way. Needs no settings."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from less_core.data.encoding import EncodedExample
from less_core.features.extraction import GradientExtractor
from less_core.features.target_gradients import TargetGradients
from less_core.method.adam import adam_update
from less_core.method.products import lay_out
from less_core.method.projection import Projection, Rademacher, Sketch
from less_core.model.adapter import lora_parameters
from less_core.model.batching import collate, fill_batches
from less_core.model.checkpoint import AdamState
from less_core.model.gradients import PerExampleGradients
from less_core.model.losses import example_losses

PROJECTED_AT_ONCE = 16  # gradients, in the LESS scripts
SUBTASKS = 57  # as MMLU has

Batch = list[EncodedExample]


@dataclass(frozen=True)
class Variant:
    """A way to go through batches, and of each batch the examples that it is given: none where it sits out."""

    run: Callable[[Batch], object]
    work: list[Batch]


def make_variants(model: PeftModel, dim: int, batches: list[Batch], dense_batches: int, less_examples: int) -> dict[str, Variant]:
    device = model.device
    sketch, exact = sketch_extractor(model, dim), extractor(model, Sketch(dim, 0, device), [random_targets(model)])
    dense = extractor(model, Rademacher(dim, 0, device))
    some = spread(len(batches), dense_batches)
    examples = [example for batch in batches for example in batch]
    few = {examples[place].example_id for place in spread(len(examples), less_examples)}
    return {
        "floor": Variant(lambda batch: frozen(model, batch, sys.maxsize), batches),
        "training": Variant(lambda batch: training(model, batch), batches),
        "sketch": Variant(lambda batch: sketch.extract(batch, sys.maxsize), batches),
        "exact": Variant(lambda batch: exact.extract(batch, sys.maxsize), batches),
        "rademacher": Variant(
            lambda batch: dense.extract(batch, sys.maxsize), [batch if number in some else [] for number, batch in enumerate(batches)]
        ),
        "LESS way": Variant(
            LessWay(model, Rademacher(dim, 0, device), len(few)), [[e for e in batch if e.example_id in few] for batch in batches]
        ),
    }


def spread(places: int, count: int) -> set[int]:
    """Return as many places as asked for, at equal distances."""
    count = min(places, count)
    return {(2 * number + 1) * places // (2 * count) for number in range(count)}


def count_tokens(examples: Sequence[EncodedExample]) -> int:
    return sum(len(example.input_ids) for example in examples)


def random_adam(model: PeftModel) -> AdamState:
    generator = torch.Generator().manual_seed(1)
    first = {name: 1e-4 * torch.randn(p.shape, generator=generator) for name, p in lora_parameters(model).items()}
    second = {name: 1e-8 * torch.rand(p.shape, generator=generator) for name, p in lora_parameters(model).items()}
    return AdamState(10, 0.9, 0.999, first, second)


def random_targets(model: PeftModel, dtype: torch.dtype = torch.float32) -> TargetGradients:
    rows = ((slot.name, torch.randn(SUBTASKS, slot.size, dtype=dtype, device=model.device)) for slot in PerExampleGradients(model).slots)
    return TargetGradients(SUBTASKS, {name: lay_out(of_slot) for name, of_slot in rows})


def extractor(model: PeftModel, projection: Projection, targets: Sequence[TargetGradients] = ()) -> GradientExtractor:
    return GradientExtractor(model, gradient="adam", fidelity="less-code", adam=random_adam(model), projection=projection, targets=targets)


def sketch_extractor(model: PeftModel, dim: int) -> GradientExtractor:
    return extractor(model, Sketch(dim, 0, model.device))


def frozen(model: PeftModel, examples: list[EncodedExample], batch_tokens: int) -> None:
    """Run forward and backward with no weight gradient at all."""

    def require(module: torch.nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output.detach().requires_grad_(True)

    trained = list(lora_parameters(model).values())
    handle = model.get_input_embeddings().register_forward_hook(require)
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        for places in fill_batches([len(e.input_ids) for e in examples], batch_tokens):
            batch = collate([examples[place] for place in places])
            example_losses(model, batch["input_ids"].to(model.device), batch["labels"]).sum().backward()
    finally:
        handle.remove()
        for parameter in trained:
            parameter.requires_grad_(True)


def training(model: PeftModel, batch: Batch) -> None:
    tensors = collate(batch)
    example_losses(model, tensors["input_ids"].to(model.device), tensors["labels"]).sum().backward()
    model.zero_grad()


class LessWay:
    """One example at a time; whole gradients are gathered and projected when there are sixteen, across batches."""

    def __init__(self, model: PeftModel, projection: Projection, examples: int) -> None:
        self.model, self.projection = model, projection
        self.left = examples
        adam = random_adam(model)
        names = sorted(lora_parameters(model))
        self.first, self.second = (
            torch.cat([m[n].flatten() for n in names]).to(model.device) for m in (adam.first_moment, adam.second_moment)
        )
        self.gathered: list[Tensor] = []

    def __call__(self, batch: Batch) -> None:
        parameters = lora_parameters(self.model)
        for example in batch:
            tensors = {name: tensor.to(self.model.device) for name, tensor in collate([example]).items()}
            self.model(input_ids=tensors["input_ids"], labels=tensors["labels"], use_cache=False).loss.backward()
            gradient = torch.cat([parameters[name].grad.flatten() for name in sorted(parameters)])[None].float()
            self.model.zero_grad()
            self.gathered.append(adam_update(gradient, self.first, self.second, step=10, beta1=0.9, beta2=0.999, fidelity="less-code"))
            self.left -= 1
            if len(self.gathered) == PROJECTED_AT_ONCE or not self.left:
                out = torch.zeros(len(self.gathered), self.projection.dim, device=self.model.device)
                self.projection.add(out, torch.cat(self.gathered), 0)
                self.gathered.clear()
