"""Feature extraction on a GPU with random weights of a shape, against its floor and the LESS scripts' way; run by `extraction.py`.

    python benchmarks/extraction.py --shape llama-2-7b [--rank 128] [--dim 8192] [--profile]      # under ten minutes on an H100

Needs torch, transformers, peft, accelerate and pyarrow alone. The model has random weights, the lengths are drawn like the paper's:
log-normal with a mean of 371 tokens, cut at 2048, the last 40% labelled.

floor        forward and backward of the same batches with every weight frozen: what the model itself takes, logits at labelled positions
sketch       ours: per-example gradients, Adam's update and count-sketch in one kernel a LoRA matrix
exact        the same, and exact products with the gradients of 57 subtasks (bfloat16)
rademacher   ours with the dense projection, its matrix made in registers (on fewer examples)
fast-jl      the dense projection by the library of the LESS scripts, where it is installed
LESS way     batch of one, weights' gradients by autograd, Adam's update on the whole, 16 at a time projected by fast-jl or our kernel

Each variant runs over batches of the same examples, warmed up first; they take turns. `--shape tiny` tries every line on a CPU.
"""

import argparse
import math
import random
import time
from collections.abc import Callable, Sequence

import torch
from extraction_variants import LessWay, extractor, frozen, random_targets
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from less_core.data.encoding import EncodedExample
from less_core.features.target_gradients import TargetGradients
from less_core.method.projection import FastJL, Projection, Rademacher, Sketch
from less_core.model.adapter import lora_parameters
from less_core.model.gradients import PerExampleGradients

SHAPES = {
    "llama-2-7b": {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "llama-1b": {
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
    },
    "tiny": {"vocab_size": 400, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4},
}
MEAN, LONGEST, LABELLED = 371, 2048, 0.4
SPREAD = 0.7  # of the logarithm of a length


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="llama-2-7b")
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument("--dim", type=int, default=8192)
    parser.add_argument("--examples", type=int, default=384)
    parser.add_argument("--slow-examples", type=int, default=32, help="for the LESS way and the dense projections; a multiple of 16")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="a 7B model keeps some 7 MB a token for the backward pass")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="print where the time of the sketch goes")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = make_model(arguments.shape, arguments.rank, device)
    examples = make_examples(arguments.examples, int(model.config.vocab_size))
    slow = examples[:: max(1, len(examples) // arguments.slow_examples)][: arguments.slow_examples]
    size = PerExampleGradients(model).size
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    tokens = sum(len(e.input_ids) for e in examples)
    print(f"{name}, torch {torch.__version__}: {arguments.shape}, {model.dtype}, rank {arguments.rank}, {size:,} LoRA weights")
    print(f"{len(examples)} examples of {tokens / len(examples):.0f} tokens in the mean, at most {arguments.batch_tokens} a batch")
    variants = make_variants(model, arguments.dim, arguments.batch_tokens, len(slow))
    chosen = {name: slow if name in ("rademacher", "fast-jl", "LESS way") else examples for name in variants}
    seconds, peak = dict.fromkeys(variants, math.inf), dict.fromkeys(variants, 0.0)
    for round_ in range(arguments.rounds + 1):
        for name, variant in variants.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            took = timed(lambda variant=variant, name=name: variant(chosen[name]), device)
            if device.type == "cuda":
                peak[name] = torch.cuda.max_memory_allocated() / 2**30
            if round_:  # the first is to warm up
                seconds[name] = min(seconds[name], took)
    per_token = {name: took / sum(len(e.input_ids) for e in chosen[name]) for name, took in seconds.items()}
    less = per_token["LESS way"]
    columns = ["variant", "examples", "examples/s", "tokens/s", "time / floor", "times as fast as the LESS way", "peak GiB"]
    print(f"| {' | '.join(columns)} |\n|" + " --- |" * len(columns))
    for name, took in per_token.items():
        rate = len(chosen[name]) / seconds[name]
        ratios = f"{took / per_token['floor']:.3f} | {less / took:.1f}"
        print(f"| {name} | {len(chosen[name])} | {rate:.2f} | {1 / took:,.0f} | {ratios} | {peak[name]:.1f} |")
    if arguments.profile:
        profile(lambda: variants["sketch"](examples[:64]), device)


def make_model(shape: str, rank: int, device: torch.device) -> PeftModel:
    """Return the shape with random weights, made where they are to be: 13 GB would take minutes to draw on a CPU and to copy."""
    config = LlamaConfig(max_position_embeddings=LONGEST, use_cache=False, **SHAPES[shape])
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device.type == "cuda" else torch.float32)
    try:
        with device:
            base = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    for parameter in base.parameters():
        parameter.requires_grad_(False)
    lora = LoraConfig(r=rank, lora_alpha=4 * rank, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(base, lora, autocast_adapter_dtype=False).eval()
    for parameter in lora_parameters(model).values():
        torch.nn.init.normal_(parameter, std=0.01)
    return model


def make_examples(count: int, vocabulary: int) -> list[EncodedExample]:
    generator = random.Random(0)
    centre = math.log(MEAN) - SPREAD**2 / 2
    lengths = [min(LONGEST, max(16, round(generator.lognormvariate(centre, SPREAD)))) for _ in range(count)]
    return [
        EncodedExample(
            str(number), [generator.randrange(vocabulary) for _ in range(n)], [place >= n * (1 - LABELLED) for place in range(n)], False
        )
        for number, n in enumerate(lengths)
    ]


def make_variants(model: PeftModel, dim: int, batch_tokens: int, slow_examples: int) -> dict[str, Callable[[list[EncodedExample]], None]]:
    device = model.device
    targets = random_targets(model, torch.bfloat16)

    def ours(projection: Projection, targets: Sequence[TargetGradients] = ()) -> Callable[[list[EncodedExample]], None]:
        taken = extractor(model, projection, targets)

        def run(examples: list[EncodedExample]) -> None:
            taken.extract(examples, batch_tokens)

        return run

    def floor(examples: list[EncodedExample]) -> None:
        frozen(model, examples, batch_tokens)

    dense: Projection = Rademacher(dim, 0, device)
    variants = {"floor": floor, "sketch": ours(Sketch(dim, 0, device)), "exact": ours(Sketch(dim, 0, device), [targets])}
    variants["rademacher"] = ours(dense)
    try:
        dense = FastJL(dim, 0, device)
        variants["fast-jl"] = ours(dense)
    except Exception as error:  # not installed, or no GPU
        print(f"fast-jl left out: {error}")
    variants["LESS way"] = LessWay(model, dense, slow_examples)
    return variants


def timed(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def profile(work: Callable[[], object], device: torch.device) -> None:
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as found:
        work()
    by = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(found.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=60))
