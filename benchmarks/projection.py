"""How well influence scores from projected gradients rank examples, against scores from the whole gradients.

    python benchmarks/projection.py --model demo/model --data ../shared/data [--examples 400] [--out docs]

exact       cosines of whole gradients: the projection is the identity
one seed    every checkpoint is projected by the same map, as in the LESS scripts
own seeds   every checkpoint is projected by a map of its own

A short warmup on some of the drawn examples leaves the checkpoints; their weights are its learning rates. Every variant sees the same
gradients. Those of a checkpoint are held whole, 4 bytes x coordinates x examples, so that a block of a dense matrix is made once
for all of them. Writes projection.json and projection.png.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from peft import PeftModel
from torch import Tensor

from less_core.changes.correlation import spearman
from less_core.data.encoding import EncodedExample, Encoder
from less_core.data.example import Example
from less_core.data.index import assemble, draw, draw_warmup, index_pool
from less_core.data.pools import open_rows, read_example
from less_core.data.targets import Target, read_target
from less_core.features.extraction import Gradient, GradientExtractor
from less_core.features.rows import OK
from less_core.files.whole import write_json, write_whole
from less_core.method.influence import add_influence, best_subtask, checkpoint_weights, subtask_vectors
from less_core.method.projection import Projection, make_projection
from less_core.model.adapter import set_adapter
from less_core.model.checkpoint import Checkpoint
from less_core.model.gradients import PerExampleGradients
from less_core.model.loading import add_lora, load_base_model, load_tokenizer, pick_device, pick_dtype
from less_core.model.warmup import train_warmup
from less_core.settings.select import LoraSettings, WarmupSettings

POOLS = ("gsm8k_train", "flan_cot", "codegen", "roleplay")
TARGETS = ("gsm8k", "tydiqa")
TARGET_LENGTH = 2048  # tokens: at 256 most prompts of tydiqa would leave no label
EPOCHS = 4
TOP = 0.05  # share of the pool whose overlap is counted
SLICE = 8192  # coordinates projected at a time: 13 MB for 400 examples
SEEDS = ("one seed", "own seeds")


@dataclass(frozen=True)
class Variant:
    """One way to project, tried once."""

    kind: str
    dim: int
    seeds: str  # of SEEDS
    trial: int

    def seed(self, checkpoint: int) -> int:
        """Return the seed at a checkpoint. Exclusive or gives a trial a seed of its own at each, and lets trials share projections."""
        return self.trial if self.seeds == SEEDS[0] else self.trial ^ checkpoint


class Identity:
    """The projection that leaves a gradient as it is."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def add(self, out: Tensor, values: Tensor, start: int) -> None:
        out[:, start : start + values.shape[1]].add_(values)


def main() -> None:
    arguments = parse_arguments()
    began = time.perf_counter()
    device = pick_device("cpu")
    base = load_base_model(Path(arguments.model), pick_dtype(arguments.dtype, device), device)
    model = add_lora(base, LoraSettings(rank=arguments.rank, alpha=4 * arguments.rank))
    pool, warmup = encode_pool(arguments)
    targets = [read_target(name, open_rows(f"{arguments.data}/eval/{name}.jsonl")) for name in TARGETS]
    checkpoints = train(model, warmup)
    weights = checkpoint_weights([c.learning_rate for c in checkpoints])
    report_time("warmup", began)
    variants = [
        Variant(kind, dim, seeds, trial)
        for kind, dims, trials in (
            ("sketch", arguments.sketch, arguments.sketch_trials),
            ("rademacher", arguments.rademacher, arguments.rademacher_trials),
        )
        for dim in dims
        for seeds in SEEDS
        for trial in range(trials)
    ]
    exact, projected = score(model, checkpoints, weights, pool, targets, encode_targets(arguments, targets), variants)
    rows = compare(exact, projected)
    value = {
        "model": Path(arguments.model).name,
        "dtype": str(model.dtype).removeprefix("torch."),
        "parameters": PerExampleGradients(model).size,
        "examples": len(pool),
        "tokens": sum(len(e.input_ids) for e in pool),
        "weights": [round(w, 4) for w in weights],
        "targets": {t.name: {"examples": len(t.examples), "subtasks": len(set(t.subtasks))} for t in targets},
        "top": top_count(len(pool)),
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "rows": rows,
    }
    write_json(f"{arguments.out}/projection.json", value)
    with write_whole(f"{arguments.out}/projection.png") as file:
        plot(rows).savefig(file, format="png", dpi=180, facecolor="white")
    print_table(value)


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--sketch", type=dimensions, default="512,1024,2048,4096,8192,16384,32768,65536")
    parser.add_argument("--sketch-trials", type=int, default=4)
    parser.add_argument("--rademacher", type=dimensions, default="512,1024,2048", help="products of 8192 take over 2 minutes each")
    parser.add_argument("--rademacher-trials", type=int, default=2)
    return parser.parse_args()


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every benchmark on real gradients asks for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder with safetensors, config.json and tokenizer")
    parser.add_argument("--data", required=True, help="folder with train/ and eval/")
    parser.add_argument("--out", default="docs", help="folder for the numbers and the picture")
    parser.add_argument("--examples", type=int, default=400, help="drawn at random from all pools together")
    parser.add_argument("--max-length", type=int, default=256, help="tokens of a pool example")
    parser.add_argument("--warmup", type=int, default=40, help="examples")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dtype", default="float32", help="of the base model")
    return parser


def dimensions(text: str) -> list[int]:
    return [int(dim) for dim in text.split(",") if dim]


def report_time(what: str, began: float) -> None:
    print(f"{(time.perf_counter() - began) / 60:5.1f} min  {what}", flush=True)


def encode_pool(arguments: argparse.Namespace) -> tuple[list[EncodedExample], list[EncodedExample]]:
    """Return the drawn examples that keep a label, and those of them that the warmup trains on."""
    sources = {name: open_rows(f"{arguments.data}/train/{name}.jsonl") for name in POOLS}
    tables = [index_pool(name, source, "auto", skip_bad_rows=False).table for name, source in sources.items()]
    drawn = draw(assemble(tables, [0] * len(tables)).table, arguments.examples, purpose="benchmark")
    examples = [read_example(sources[row["pool"]], row["file"], row["offset"], "auto") for row in drawn.to_pylist()]
    encoded = [e for e in encode(arguments, examples, arguments.max_length) if e.num_label_tokens]
    trained = set(draw_warmup(drawn, arguments.warmup / drawn.num_rows, 0)["example_id"].to_pylist())
    return encoded, [e for e in encoded if e.example_id in trained]


def encode_targets(arguments: argparse.Namespace, targets: Sequence[Target]) -> list[EncodedExample]:
    """Return the examples of all targets, one target after the other."""
    return encode(arguments, [e for target in targets for e in target.examples], TARGET_LENGTH)


def encode(arguments: argparse.Namespace, examples: Sequence[Example], max_length: int) -> list[EncodedExample]:
    return Encoder(load_tokenizer(Path(arguments.model)), "tulu", max_length).encode(examples)


def train(model: PeftModel, examples: list[EncodedExample]) -> list[Checkpoint]:
    settings = WarmupSettings(epochs=EPOCHS, learning_rate=2e-4, batch_size=4, micro_batch_size=4)
    checkpoints: list[Checkpoint] = []
    with tempfile.TemporaryDirectory() as folder:
        train_warmup(model, examples, settings, Path(folder), lambda _, c: checkpoints.append(c), lambda _: None)
    return checkpoints


Scores = list[Tensor]  # a target each, float32 [examples, subtasks]


def score(
    model: PeftModel,
    checkpoints: Sequence[Checkpoint],
    weights: Sequence[float],
    pool: Sequence[EncodedExample],
    targets: Sequence[Target],
    target_examples: Sequence[EncodedExample],
    variants: Sequence[Variant],
) -> tuple[Scores, dict[Variant, Scores]]:
    """Return exact scores and those of every variant."""

    def no_scores() -> Scores:
        return [torch.zeros(len(pool), len(set(target.subtasks))) for target in targets]

    def add(scores: Scores, train: Tensor, target: Tensor, weight: float) -> None:
        for part, rows, into in zip(targets, target.split([len(t.examples) for t in targets]), scores, strict=True):
            names = list(dict.fromkeys(part.subtasks))
            subtask_of = torch.tensor([names.index(subtask) for subtask in part.subtasks])
            add_influence(into, train, subtask_vectors(rows, torch.ones(len(rows)), subtask_of, len(names), "less-code"), weight)

    exact, projected = no_scores(), {variant: no_scores() for variant in variants}
    for number, (checkpoint, weight) in enumerate(zip(checkpoints, weights, strict=True)):
        began = time.perf_counter()
        set_adapter(f"checkpoint {number + 1}", model, checkpoint.adapter)
        train, target = gradients(model, checkpoint, pool, "adam"), gradients(model, checkpoint, target_examples, "sgd")
        add(exact, train, target, weight)
        report_time(f"gradients at checkpoint {number + 1}", began)
        began = time.perf_counter()
        for kind, dim, seed in dict.fromkeys((v.kind, v.dim, v.seed(number)) for v in variants):
            small_train, small_target = project(make_projection(kind, dim, seed, model.device), [train, target])
            for variant, scores in projected.items():
                if (variant.kind, variant.dim, variant.seed(number)) == (kind, dim, seed):
                    add(scores, small_train, small_target, weight)
        report_time("projections", began)
    return exact, projected


def gradients(model: PeftModel, checkpoint: Checkpoint, examples: Sequence[EncodedExample], kind: Gradient) -> Tensor:
    """Return whole gradients of norm 1, float32 [examples, coordinates]."""
    identity = Identity(PerExampleGradients(model).size)
    extractor = GradientExtractor(model, gradient=kind, fidelity="less-code", adam=checkpoint.adam, projection=identity)
    (features,) = extractor.extract(examples, batch_tokens=1024)
    assert set(features.status) == {OK}
    return features.features


def project(projection: Projection, parts: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return features of norm 1, float32 [examples, dim] for each part."""
    out = torch.zeros(sum(map(len, parts)), projection.dim)
    for start in range(0, parts[0].shape[1], SLICE):
        projection.add(out, torch.cat([part[:, start : start + SLICE] for part in parts]), start)
    return torch.nn.functional.normalize(out, dim=1).split([len(part) for part in parts])


def compare(exact: Scores, projected: dict[Variant, Scores]) -> list[dict[str, Any]]:
    """Return for each target, kind, dim and way of seeding what each trial gave."""
    rows: dict[tuple[object, ...], dict[str, Any]] = {}
    for variant, scores in projected.items():
        for name, truth, found in zip(TARGETS, exact, scores, strict=True):
            true, got = best_subtask(truth)[0], best_subtask(found)[0]
            count = top_count(len(true))
            both = set(true.topk(count).indices.tolist()) & set(got.topk(count).indices.tolist())
            key = {"target": name, "kind": variant.kind, "dim": variant.dim, "seeds": variant.seeds}
            row = rows.setdefault(tuple(key.values()), {**key, "spearman": [], "overlap": []})
            row["spearman"].append(round(spearman(true.double().numpy(), got.double().numpy()) or 0.0, 4))
            row["overlap"].append(round(len(both) / count, 4))
    return list(rows.values())


def top_count(examples: int) -> int:
    return max(1, int(TOP * examples))


def print_table(value: dict[str, Any]) -> None:
    print(
        f"{value['model']}, {value['dtype']}, {value['parameters']:,} LoRA parameters; {value['examples']} examples of {value['tokens']:,} "
        f"tokens; weights {value['weights']}; the top 5% are {value['top']}; {value['minutes']} minutes in all\n"
    )
    heads = [f"{target}: {what}" for target in TARGETS for what in ("Spearman", "overlap")]
    print(f"| kind | dim | seeds | {' | '.join(heads)} |\n|{' --- |' * (3 + len(heads))}")
    lines: dict[tuple[object, ...], list[str]] = {}
    for row in value["rows"]:
        cells = lines.setdefault((row["kind"], row["dim"], row["seeds"]), [])
        cells += [mean_and_range(row["spearman"], 3), mean_and_range(row["overlap"], 2)]
    for key, cells in lines.items():
        print(f"| {' | '.join([*map(str, key), *cells])} |")


def mean_and_range(values: Sequence[float], digits: int) -> str:
    return f"{sum(values) / len(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def plot(rows: Sequence[dict[str, Any]]) -> Figure:
    """Return Spearman by dim, a panel a target: mean over trials as a line, their range as a band. Colours: Okabe and Ito (2008)."""
    figure = Figure(figsize=(9.2, 4.0), layout="constrained")
    ink, faint = "#30363d", "#d8dde3"
    for axes, target in zip(figure.subplots(1, len(TARGETS), sharey=True), TARGETS, strict=True):
        for kind, colour in (("sketch", "#0072b2"), ("rademacher", "#d55e00")):
            for seeds, dashes, marker in ((SEEDS[0], (0, (4, 2)), "s"), (SEEDS[1], "solid", "o")):
                line = [row for row in rows if (row["target"], row["kind"], row["seeds"]) == (target, kind, seeds)]
                dims, trials = [row["dim"] for row in line], [row["spearman"] for row in line]
                means = [sum(values) / len(values) for values in trials]
                axes.plot(dims, means, color=colour, linestyle=dashes, marker=marker, markersize=4, linewidth=1.6, label=f"{kind}, {seeds}")
                axes.fill_between(dims, list(map(min, trials)), list(map(max, trials)), color=colour, alpha=0.15, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({row["dim"] for row in rows}))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda dim, _: f"{dim / 1024:g}k" if dim >= 1024 else f"{dim:g}"))
        axes.set_title(target, fontsize=10, color=ink)
        axes.set_xlabel("projection dimensions", color=ink, fontsize=9.5)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(faint)
        axes.tick_params(color=faint, labelcolor=ink, labelsize=9)
        axes.grid(visible=True, axis="y", color=faint, linewidth=0.7)
    figure.axes[0].set_ylabel("Spearman with exact scores", color=ink, fontsize=9.5)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False, fontsize=9, labelcolor=ink, handlelength=2.8)
    return figure


if __name__ == "__main__":
    main()
