"""Feature extraction with a real model and real examples, against its floor, the LESS scripts' way and bergson; run by `extraction.py`.

    python benchmarks/extraction.py --model demo/model [--data DATA] [--rank 8] [--dim 8192] [--examples 48] [--bergson-venv DIR]

floor        forward and backward of the same batches with every weight frozen, so that only activations have gradients. No method that
             differentiates through the model does less. It is given our batches and our loss, with logits at labelled positions only:
             without them it would be slower and we would look better. It goes down to the embeddings, as ours does, which is one layer's
             q, k and v more than LoRA gradients need.
training     the same with the LoRA weights trainable: autograd's products for their summed gradient come on top. To be faster than this
             is to form every example's gradient in less time than autograd forms their sum; it is not to be free.
sketch       ours: per-example gradients, Adam's update, count-sketch
exact        the same, and exact products with the gradients of 57 subtasks
rademacher   ours with a dense projection, on --dense-batches batches
LESS way     batch of one, logits everywhere, the whole gradient flattened, Adam's update on it, dense projection of 16 gradients at a
             time; on --less-examples examples spread over the batches
bergson      bergson 2.5.1 in an environment of its own, with Adam's second moments; `bergson_peer.py` says what is the same and what not
bergson sgd  without moments: its fastest way, to a feature that is not the paper's

Examples are drawn at random from the training files in --data and cut at 512 tokens; without it lengths are made up.

The variants take turns on every batch, so that a change in the machine's speed meets all of them, and of --rounds turns the fastest counts;
what takes long has one. bergson's process waits for its turn.
Loading, one batch to warm up, and one pass over every batch before its turn are not counted. What runs on less than all is compared
by its time per token with that of the floor on the batches that it took part in. Peak memory is that of a process of its own that
runs the sketch alone, for a quarter of the examples and for all.
"""

import argparse
import contextlib
import itertools
import math
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from bergson_client import Bergson
from extraction_variants import Batch, Variant, count_tokens, make_variants, sketch_extractor
from peft import PeftModel

from less_core.data.encoding import EncodedExample, Encoder
from less_core.data.index import parse_row
from less_core.data.pools import open_rows
from less_core.model.adapter import lora_parameters
from less_core.model.batching import fill_batches
from less_core.model.gradients import PerExampleGradients
from less_core.model.loading import add_lora, load_base_model, load_tokenizer, pick_device, pick_dtype
from less_core.settings.select import LoraSettings

LONGEST = 512  # tokens of an example


def main() -> None:
    arguments = parse_arguments()
    device = pick_device(arguments.device)
    model = load_model(arguments, device)
    examples = make_examples(model, arguments)
    if arguments.memory_only:
        sketch_extractor(model, arguments.dim).extract(examples, arguments.batch_tokens)
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(int(line.split()[1]) / 2**20)  # getrusage would begin with the parent's
        return
    batches = [[examples[i] for i in batch] for batch in fill_batches([len(e.input_ids) for e in examples], arguments.batch_tokens)]
    print_setting(arguments, model, batches)
    with contextlib.ExitStack() as stack:
        variants = make_variants(model, arguments.dim, batches, arguments.dense_batches, arguments.less_examples)
        if arguments.bergson_venv:
            bergson = stack.enter_context(Bergson(arguments.bergson_venv, model, examples, arguments.dim))
            print(bergson.description)
            variants |= {name: Variant(bergson.of(kind), batches) for name, kind in (("bergson", "adam"), ("bergson sgd", "sgd"))}
        variants = {name: variant for name, variant in variants.items() if name not in arguments.skip.split(",")}
        print_table(variants, run_in_turns(variants, batches, arguments.rounds, device), batches)
    if device.type == "cuda":
        print(f"peak device memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    else:
        few, many = (peak_memory(count) for count in (len(examples) // 4, len(examples)))
        print(f"peak memory of the sketch: {few:.2f} GiB with {len(examples) // 4} examples, {many:.2f} GiB with {len(examples)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="folder with safetensors, config.json and tokenizer")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dim", type=int, default=8192)
    parser.add_argument("--data", type=Path, help="folder with train/, for real examples")
    parser.add_argument("--lengths", default="64,128,256", help="tokens, in turn, without --data; two thirds of them prompt")
    parser.add_argument("--examples", type=int, default=48)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dense-batches", type=int, default=1, help="for rademacher")
    parser.add_argument("--less-examples", type=int, default=16, help="for the LESS way; a multiple of 16")
    parser.add_argument("--bergson-venv", type=Path, help="environment with bergson, made if it is missing")
    parser.add_argument("--skip", default="", help="variants to leave out, such as rademacher")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--modules", default="q_proj,k_proj,v_proj,o_proj")
    parser.add_argument("--memory-only", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def load_model(arguments: argparse.Namespace, device: torch.device) -> PeftModel:
    # Resolved, because the adapter's configuration, which bergson reads, names the folder.
    base = load_base_model(arguments.model.resolve(), pick_dtype("auto", device), device)
    lora = LoraSettings(rank=arguments.rank, alpha=4 * arguments.rank, target_modules=arguments.modules.split(","))
    model = add_lora(base, lora).eval()
    for parameter in lora_parameters(model).values():
        torch.nn.init.normal_(parameter, std=0.02)
    return model


def make_examples(model: PeftModel, arguments: argparse.Namespace) -> list[EncodedExample]:
    if arguments.data:
        sources = [open_rows(str(path)) for path in sorted((arguments.data / "train").glob("*.jsonl"))]
        drawn = [parse_row(source, row, "auto") for source in sources for row in source.rows()]
        random.Random(0).shuffle(drawn)
        # Some keep no label; twice as many are more than enough.
        encoded = Encoder(load_tokenizer(arguments.model), "tulu", LONGEST).encode(drawn[: 2 * arguments.examples])
        return [e for e in encoded if e.num_label_tokens][: arguments.examples]
    lengths = [int(length) for length in arguments.lengths.split(",")]
    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.vocab_size
    examples = []
    for number in range(arguments.examples):
        length = lengths[number % len(lengths)]
        ids = torch.randint(0, vocabulary, (length,), generator=generator).tolist()
        examples.append(EncodedExample(str(number), ids, [place >= length * 2 // 3 for place in range(length)], truncated=False))
    return examples


def print_setting(arguments: argparse.Namespace, model: PeftModel, batches: Sequence[Batch]) -> None:
    examples = [example for batch in batches for example in batch]
    tokens, labelled = count_tokens(examples), sum(e.num_label_tokens for e in examples)
    print(
        f"{arguments.model.name}, {model.device.type} with {torch.get_num_threads()} threads, {model.dtype}, rank {arguments.rank}: "
        f"{PerExampleGradients(model).size:,} LoRA parameters, dim {arguments.dim}"
    )
    print(
        f"{len(examples)} examples, {tokens} tokens (longest {max(len(e.input_ids) for e in examples)}, {labelled / tokens:.0%} labelled), "
        f"{len(batches)} batches of at most {arguments.batch_tokens}",
        flush=True,
    )


def run_in_turns(variants: dict[str, Variant], batches: Sequence[Batch], rounds: int, device: torch.device) -> dict[str, dict[int, float]]:
    """Return each variant's seconds by batch, the least of all rounds; one batch, and the floor of every batch, go before to warm up."""
    for variant in variants.values():
        if variant.work is batches:  # the others take long, and run through what these have warmed
            variant.run(batches[-1])
    seconds: dict[str, dict[int, float]] = {name: {} for name in variants}
    for number in range(len(batches)):
        variants["floor"].run(batches[number])  # what comes first after the shape has changed pays for that
        for round_, (name, variant) in itertools.product(range(rounds), variants.items()):
            if variant.work[number] and (round_ == 0 or variant.work is batches):
                started = time.perf_counter()
                variant.run(variant.work[number])
                if device.type == "cuda":
                    torch.cuda.synchronize()
                seconds[name][number] = min(time.perf_counter() - started, seconds[name].get(number, math.inf))
    return seconds


def print_table(variants: dict[str, Variant], seconds: dict[str, dict[int, float]], batches: Sequence[Batch]) -> None:
    print(f"{'':12}{'batches':>8}{'examples':>10}{'examples/s':>12}{'tokens/s':>10}{'time / floor':>14}{'time / training':>17}")
    for name, by_batch in seconds.items():
        examples = [example for number in by_batch for example in variants[name].work[number]]
        total, tokens = sum(by_batch.values()), count_tokens(examples)
        whole = sum(count_tokens(batches[number]) for number in by_batch)
        ratios = [(total / tokens) / (sum(seconds[base][number] for number in by_batch) / whole) for base in ("floor", "training")]
        counts = f"{len(by_batch):8}{len(examples):10}"
        print(f"{name:12}{counts}{len(examples) / total:12.2f}{tokens / total:10.0f}{ratios[0]:14.3f}{ratios[1]:17.3f}")


def peak_memory(examples: int) -> float:
    """Return GiB of resident memory at its highest in a process that extracts that many examples."""
    command = [sys.executable, *sys.argv, "--memory-only", "--examples", str(examples)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
