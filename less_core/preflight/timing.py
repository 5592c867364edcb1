"""How fast gradients are taken here: a few real examples through the real model."""

import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from less_core.data.encoding import EncodedExample
from less_core.features.extraction import Extractor, GradientExtractor
from less_core.features.hidden_states import RepresentationExtractor
from less_core.features.requirements import kind_of
from less_core.method.projection import make_projection
from less_core.model.adapter import lora_parameters
from less_core.model.batching import fill_batches
from less_core.model.checkpoint import AdamState
from less_core.model.loading import add_lora, load_base_model
from less_core.refs import ModelRef
from less_core.settings.select import SelectSettings

BATCHES = 3  # timed, after one that is not


class Measured(NamedTuple):
    """What a few batches took."""

    tokens_a_second: float
    memory: int  # bytes, at the highest: of the process on a CPU, of what is allocated on a GPU


def measure(settings: SelectSettings, model: ModelRef, examples: Sequence[EncodedExample]) -> Measured:
    """Compute pool features of batches as a run fills them.

    Args:
        settings: Of the run.
        model: Its base model, which is loaded.
        examples: Drawn from its pools; those without a label take no time in a run and are left out.
    """
    device = torch.device(model.device)
    base = load_base_model(Path(model.folder), getattr(torch, model.dtype), device)
    lora_model = add_lora(base, model.lora, trained=False).eval()
    kind = kind_of(settings, "pool")
    extractor: Extractor
    if kind == "rds" or kind == "rds+":
        extractor = RepresentationExtractor(lora_model, kind)
    else:
        zeros = {name: torch.zeros(p.shape) for name, p in lora_parameters(lora_model).items()}
        projection = make_projection(settings.features.projection.kind, settings.features.projection.dim, 0, device)
        adam = AdamState(1, 0.9, 0.999, zeros, zeros)
        extractor = GradientExtractor(lora_model, gradient=kind, fidelity=settings.features.fidelity, adam=adam, projection=projection)
    usable = [e for e in examples if e.num_label_tokens]
    budget = settings.execution.tokens_a_batch(model.device)
    batches = [[usable[place] for place in batch] for batch in fill_batches([len(e.input_ids) for e in usable], budget)]
    # Of long, middling and short examples alike: the speed depends on the length.
    chosen = [batches[len(batches) * n // BATCHES] for n in range(BATCHES)]
    extractor.extract(chosen[-1], budget)
    started = time.perf_counter()
    for batch in chosen:
        extractor.extract(batch, budget)
    if device.type == "cuda":
        torch.cuda.synchronize()
    speed = sum(len(e.input_ids) for batch in chosen for e in batch) / (time.perf_counter() - started)
    on_cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measured(speed, torch.cuda.max_memory_allocated() if device.type == "cuda" else on_cpu)
