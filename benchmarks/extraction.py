"""Feature extraction against its floor and against the LESS scripts' way, on the same batches in one run.

    python benchmarks/extraction.py --model demo/model [--data DATA] [--rank 8] [--dim 8192] [--examples 48]

floor       forward and backward of the same batches with every weight frozen: what the model itself takes, logits at labelled positions
training    the same with autograd's summed LoRA gradient, as a training step has it
sketch      ours: per-example gradients, Adam's update, count-sketch
exact       the same, and exact products with the gradients of 57 subtasks
rademacher  ours with a dense projection
LESS way    batch of one, the whole gradient flattened, Adam's update on it, dense projection of 16 gradients at a time

With --data, examples are drawn from its training files and cut at 512 tokens; else lengths are made up. `gpu.py` is the same on a GPU.

The variants take turns on every batch, so that a change in the machine's speed meets all of them. Peak memory is that of a process
of its own that runs the sketch alone, for some examples and for four times as many.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from gpu import frozen
from peft import PeftModel
from torch import Tensor

from less_core.config import LoraSettings
from less_core.data.encoding import EncodedExample, Encoder
from less_core.data.index import assemble, draw, index_pool
from less_core.data.pools import open_rows, read_example
from less_core.extraction import GradientExtractor
from less_core.method.adam import adam_update
from less_core.method.projection import Rademacher, Sketch
from less_core.model.adapter import lora_parameters
from less_core.model.batching import collate, fill_batches
from less_core.model.checkpoint import AdamState
from less_core.model.gradients import PerExampleGradients
from less_core.model.loading import add_lora, load_base_model, load_tokenizer, pick_device, pick_dtype
from less_core.model.losses import example_losses

PROJECTED_AT_ONCE = 16  # gradients, in the LESS scripts
POOLS = ("gsm8k_train", "flan_cot", "codegen", "roleplay")
LONGEST = 512  # tokens of an example
SUBTASKS = 57  # as MMLU has


def main() -> None:
    arguments = parse_arguments()
    device = pick_device(arguments.device)
    model = load_model(arguments, device)
    if arguments.memory_only:
        extractor(model, Sketch(arguments.dim, 0, device)).extract(make_examples(model, arguments), arguments.batch_tokens)
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(int(line.split()[1]) / 2**20)  # getrusage would begin with the parent's
        return
    examples = make_examples(model, arguments)
    order = fill_batches([len(e.input_ids) for e in examples], arguments.batch_tokens)
    batches = [[examples[i] for i in batch] for batch in order]
    variants = make_variants(model, arguments.dim, arguments.skip.split(","))
    seconds = run_in_turns(variants, batches, device)
    tokens = sum(len(e.input_ids) for e in examples)
    size = PerExampleGradients(model).size
    print(
        f"{Path(arguments.model).name}, {device.type}, {model.dtype}, rank {arguments.rank}: {size:,} LoRA parameters, dim {arguments.dim}"
    )
    print(f"{len(examples)} examples, {tokens} tokens, {len(batches)} batches of at most {arguments.batch_tokens}")
    print(f"{'':12}{'examples/s':>12}{'tokens/s':>12}{'time / floor':>14}")
    for name, total in seconds.items():
        print(f"{name:12}{len(examples) / total:12.2f}{tokens / total:12.0f}{total / seconds['floor']:14.3f}")
    if device.type == "cuda":
        print(f"peak device memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    else:
        few, many = (peak_memory(count) for count in (len(examples), 4 * len(examples)))
        print(f"peak memory of the sketch: {few:.2f} GiB with {len(examples)} examples, {many:.2f} GiB with {4 * len(examples)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder with safetensors and config.json")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dim", type=int, default=8192)
    parser.add_argument("--lengths", default="64,128,256", help="tokens, in turn; two thirds of them prompt")
    parser.add_argument("--data", help="folder with train/, for examples of real lengths")
    parser.add_argument("--skip", default="", help="variants to leave out, such as rademacher")
    parser.add_argument("--examples", type=int, default=48)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--modules", default="q_proj,k_proj,v_proj,o_proj")
    parser.add_argument("--memory-only", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def load_model(arguments: argparse.Namespace, device: torch.device) -> PeftModel:
    base = load_base_model(Path(arguments.model), pick_dtype("auto", device), device)
    lora = LoraSettings(rank=arguments.rank, alpha=4 * arguments.rank, target_modules=arguments.modules.split(","))
    model = add_lora(base, lora).eval()
    for parameter in lora_parameters(model).values():
        torch.nn.init.normal_(parameter, std=0.02)
    return model


def make_examples(model: PeftModel, arguments: argparse.Namespace) -> list[EncodedExample]:
    if arguments.data:
        sources = {name: open_rows(f"{arguments.data}/train/{name}.jsonl") for name in POOLS}
        table = assemble([index_pool(n, s, "auto", skip_bad_rows=False).table for n, s in sources.items()], [0] * len(sources)).table
        rows = draw(table, arguments.examples, purpose="extraction").to_pylist()
        encoder = Encoder(load_tokenizer(Path(arguments.model)), "tulu", LONGEST)
        encoded = encoder.encode([read_example(sources[row["pool"]], row["file"], row["offset"], "auto") for row in rows])
        return [e for e in encoded if e.num_label_tokens]
    lengths = [int(length) for length in arguments.lengths.split(",")]
    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.vocab_size
    examples = []
    for number in range(arguments.examples):
        length = lengths[number % len(lengths)]
        ids = torch.randint(0, vocabulary, (length,), generator=generator).tolist()
        examples.append(EncodedExample(str(number), ids, [place >= length * 2 // 3 for place in range(length)], truncated=False))
    return examples


def random_adam(model: PeftModel) -> AdamState:
    generator = torch.Generator().manual_seed(1)
    first = {name: 1e-4 * torch.randn(p.shape, generator=generator) for name, p in lora_parameters(model).items()}
    second = {name: 1e-8 * torch.rand(p.shape, generator=generator) for name, p in lora_parameters(model).items()}
    return AdamState(10, 0.9, 0.999, first, second)


def extractor(model: PeftModel, projection: Sketch | Rademacher, targets: Sequence[Tensor] = ()) -> GradientExtractor:
    return GradientExtractor(model, gradient="adam", fidelity="less-code", adam=random_adam(model), projection=projection, targets=targets)


Variant = Callable[[list[EncodedExample]], object]


def make_variants(model: PeftModel, dim: int, skip: list[str]) -> dict[str, Variant]:
    device = model.device
    rows = torch.randn(SUBTASKS, PerExampleGradients(model).size, device=device)
    sketch, exact = extractor(model, Sketch(dim, 0, device)), extractor(model, Sketch(dim, 0, device), [rows])
    dense = extractor(model, Rademacher(dim, 0, device))
    variants: dict[str, Variant] = {
        "floor": lambda batch: frozen(model, batch, sys.maxsize),
        "training": lambda batch: training(model, batch),
        "sketch": lambda batch: sketch.extract(batch, sys.maxsize),
        "exact": lambda batch: exact.extract(batch, sys.maxsize),
        "rademacher": lambda batch: dense.extract(batch, sys.maxsize),
        "LESS way": LessWay(model, Rademacher(dim, 0, device)),
    }
    return {name: variant for name, variant in variants.items() if name not in skip}


def training(model: PeftModel, batch: list[EncodedExample]) -> None:
    tensors = {name: tensor.to(model.device) for name, tensor in collate(batch).items()}
    example_losses(model, tensors["input_ids"], tensors["labels"]).sum().backward()
    model.zero_grad()


class LessWay:
    """One example at a time; whole gradients are gathered and projected when there are sixteen, across batches."""

    def __init__(self, model: PeftModel, projection: Rademacher) -> None:
        self.model, self.projection = model, projection
        adam = random_adam(model)
        names = sorted(lora_parameters(model))
        self.first, self.second = (
            torch.cat([m[n].flatten() for n in names]).to(model.device) for m in (adam.first_moment, adam.second_moment)
        )
        self.gathered: list[Tensor] = []

    def __call__(self, batch: list[EncodedExample]) -> None:
        parameters = lora_parameters(self.model)
        for example in batch:
            tensors = {name: tensor.to(self.model.device) for name, tensor in collate([example]).items()}
            self.model(input_ids=tensors["input_ids"], labels=tensors["labels"], use_cache=False).loss.backward()
            gradient = torch.cat([parameters[name].grad.flatten() for name in sorted(parameters)])[None].float()
            self.model.zero_grad()
            self.gathered.append(adam_update(gradient, self.first, self.second, step=10, beta1=0.9, beta2=0.999, fidelity="less-code"))
            if len(self.gathered) == PROJECTED_AT_ONCE:
                self.flush()

    def flush(self) -> None:
        if self.gathered:
            out = torch.zeros(len(self.gathered), self.projection.dim, device=self.model.device)
            self.projection.add(out, torch.cat(self.gathered), 0)
            self.gathered.clear()


def run_in_turns(variants: dict[str, Variant], batches: list[list[EncodedExample]], device: torch.device) -> dict[str, float]:
    """Return seconds of each variant over all batches, after one batch to warm up."""
    seconds = dict.fromkeys(variants, 0.0)
    for number, batch in enumerate([batches[-1], *batches]):
        for name, variant in variants.items():
            started = time.perf_counter()
            variant(batch)
            if number == len(batches) and isinstance(variant, LessWay):
                variant.flush()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number:
                seconds[name] += time.perf_counter() - started
    return seconds


def peak_memory(examples: int) -> float:
    """Return GiB of resident memory at its highest in a process that extracts that many examples."""
    command = [sys.executable, *sys.argv, "--memory-only", "--examples", str(examples)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


if __name__ == "__main__":
    main()
