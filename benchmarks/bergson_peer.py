"""bergson's side of `extraction_data.py`: run by `bergson_client.py` in bergson's own environment, so nothing of this project is imported.

Taken from bergson as it stands: its loading of a base model with a LoRA adapter, its hooks (`InMemoryCollector`) and its loop over batches
(`CollectorComputer`). No index is written: rows are kept in memory, as ours are.

The same as ours: model, adapter, examples, labels, batches (its own filling sorts by length and keeps to a token budget too), float32, mean
loss of each example, all LoRA matrices and nothing else, sdpa attention, versions of torch, transformers and peft, number of threads.

Not the same:
- Width. It projects each matrix from both sides to p x p and puts these side by side; p is what brings the sum nearest to ours.
  That is a weaker projection: a Kronecker product of two small ones for each matrix, not one for all. Its dense projection of everything
  to 8192 (`projection_target="global"`) makes the matrix anew for every batch, on a CPU by numpy: it was some 7 times the floor at
  rank 8 and is left out.
- Adam. Its normaliser divides by sqrt(v) + 1e-8; Gamma of the paper also averages gradient and moments. Each is a few operations a
  coordinate on the whole per-example gradient. Without a normaliser (sgd) it projects inputs and output gradients before it multiplies
  them, so that the gradient never exists: cheaper, for a feature that is not the paper's.
- It makes logits at every position, and the embedding table gets a gradient, which is how it has autograd reach the adapters.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from bergson.collector.collector import CollectorComputer
from bergson.collector.in_memory_collector import InMemoryCollector
from bergson.config import IndexConfig
from bergson.gradients import AdamNormalizer
from bergson.utils.worker_utils import processor_for, setup_model_and_peft
from datasets import Dataset


def main() -> None:
    folder, dim, answers = Path(sys.argv[1]), int(sys.argv[2]), os.fdopen(int(sys.argv[3]), "w")
    data = Dataset.from_dict(json.loads((folder / "examples.json").read_text()))
    config = IndexConfig(run_path=str(folder / "run"), model=str(folder / "adapter"), precision="fp32", loss_reduction="mean")
    config.partial_run_path.mkdir()
    model, targets = setup_model_and_peft(config)
    config.projection_dim = nearest_side(dim, len(targets))
    kinds = {kind: make_computer(model, targets, data, config, adam=kind == "adam") for kind in ("adam", "sgd")}
    width = len(targets) * config.projection_dim**2
    tell(answers, f"bergson: {len(targets)} matrices, each projected to {config.projection_dim} x {config.projection_dim}, {width} in all")
    for line in sys.stdin:
        kind, batch = json.loads(line)
        kinds[kind].batches = [batch]
        kinds[kind].run_with_collector_hooks()
        tell(answers, len(batch))


def nearest_side(dim: int, matrices: int) -> int:
    return min(range(1, dim), key=lambda side: abs(side * side * matrices - dim))


def make_computer(model: Any, targets: set[str], data: Dataset, config: IndexConfig, *, adam: bool) -> CollectorComputer:
    generator = torch.Generator().manual_seed(1)
    shapes = {name: model.base_model.get_submodule(name).weight.shape for name in sorted(targets)}
    moments = {name: AdamNormalizer(1e-8 * torch.rand(shape, generator=generator)) for name, shape in shapes.items()}
    processor = processor_for(config, moments if adam else {})
    collector = InMemoryCollector(model=model.base_model, data=data, cfg=config, processor=processor, target_modules=targets)
    return CollectorComputer(model=model, data=data, collector=collector, cfg=config)


def tell(answers: Any, value: object) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
