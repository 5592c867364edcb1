"""How time and memory grow with the pool: the real flow, by the real command, on a tiny model.

    python benchmarks/growth.py [--sizes 1000,3000,10000,30000,100000]

Each size is a run of `less-flow run` from an empty store in a process of its own, with exact scores, features and a report. Seconds
of each stage are those that the run's record has; memory is the highest resident set of the process, as the system counts it. The last
lines are a straight line through the totals, and how far each size is from it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = ["add", "take", "red", "blue", "left", "right", "stone", "river", "seven", "twelve", "count", "name", "list", "first", "last"]
STAGES = ("check", "prepare", "warmup", "target features", "pool features", "influence", "selection and report")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,3000,10000,30000,100000")
    parser.add_argument("--dim", type=int, default=1024)
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    print("| examples | total s | " + " | ".join(STAGES) + " | peak GiB | store MB |\n|" + " --- |" * (len(STAGES) + 4))
    totals, peaks = [], []
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            seconds, stages, peak = run(Path(name), size, arguments.dim)
            stored = sum(path.stat().st_size for path in (Path(name) / "store").rglob("*") if path.is_file())
        totals.append(sum(stages.values()))
        peaks.append(peak)
        cells = " | ".join(f"{stages[stage]:.1f}" for stage in STAGES)
        print(f"| {size:,} | {seconds:.1f} | {cells} | {peak:.2f} | {stored / 1e6:.1f} |", flush=True)
    for what, values, unit in (("seconds of all stages", totals, 1e3), ("GiB", peaks, 1e3)):
        slope, constant = np.polyfit(sizes, values, 1)
        off = ", ".join(f"{value / (constant + slope * size):.2f}" for size, value in zip(sizes, values, strict=True))
        print(f"{what}: {constant:.3g} + {slope * unit:.3g} a thousand examples; measured over that line: {off}")


def run(folder: Path, size: int, dim: int) -> tuple[float, dict[str, float], float]:
    """Return seconds of the command, seconds of each stage, and the highest resident set of its process in GiB."""
    make_model(folder / "model")
    write_rows(folder / "pool.jsonl", size, 0)
    write_rows(folder / "target.jsonl", 8, 1)
    settings = {
        "name": "growth",
        "model": {"path": "model", "lora": {"rank": 4, "alpha": 16}},
        "pools": [{"name": "pool", "path": "pool.jsonl"}],
        "targets": [{"name": "target", "path": "target.jsonl"}],
        # A warmup of as many examples whatever the pool: what is asked is how the rest grows.
        "warmup": {"fraction": min(1.0, 200 / size), "epochs": 2, "batch_size": 16, "micro_batch_size": 16, "learning_rate": 1e-3},
        "features": {"projection": {"dim": dim}, "max_length": 128},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(settings))
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_LOGGING_LEVEL": "WARNING"}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli.main", "run", "c.yaml"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.2)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(process.stderr.read().decode()[-3000:] if process.stderr else "the run failed")
    record = json.loads((folder / "runs/growth/run.json").read_text())
    return seconds, {stage["name"]: stage["seconds"] for stage in record["stages"]}, peak


def resident(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 2**20 for line in lines if line.startswith("VmHWM")), default=0.0)


def make_model(folder: Path) -> None:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    inner.train_from_iterator([" ".join(WORDS)], trainer)
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>", pad_token="<|end|>").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=400, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=512
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def write_rows(path: Path, count: int, seed: int) -> None:
    generator = random.Random(seed)
    with path.open("w") as file:
        for number in range(count):
            prompt, completion = (" ".join(generator.choices(WORDS, k=generator.randint(4, 20))) for _ in range(2))
            row = {"messages": [{"role": "user", "content": f"{number} {prompt}"}, {"role": "assistant", "content": completion}]}
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
