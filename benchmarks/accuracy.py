"""What scores lose to projection, to fewer bytes and to float32, and what a shortlist gives back, on real gradients.

    python benchmarks/accuracy.py --model demo/model --data ../shared/data [--examples 320] [--dtype bfloat16]

exact       the project's exact scores: `GradientExtractor` with whole target gradients
oracle      autograd in float64, batch of one, whole gradients, Adam's update and inner products in float64 (of the first --oracle examples)
a storage   features of a dim, stored as float16, int8 or sign bits, scored as `add_influence` does; target features stay float16
shortlist   the best --shortlist by each storage's scores, ranked by the exact ones: what `scoring: rerank` selects

Every variant sees the same checkpoints and examples; features are projections of the same whole gradients. Writes accuracy.json.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import projection as shared
import torch
from peft import PeftModel
from torch import Tensor

from less_core.changes.correlation import spearman
from less_core.data.encoding import EncodedExample
from less_core.data.pools import open_rows
from less_core.data.targets import Target, read_target
from less_core.features.extraction import GradientExtractor
from less_core.features.target_gradients import TargetGradients, subtask_gradients
from less_core.files.whole import write_json
from less_core.method.influence import add_influence, best_subtask, checkpoint_weights, subtask_vectors
from less_core.method.projection import make_projection
from less_core.method.quantization import pack, row_bytes
from less_core.model.adapter import lora_parameters, set_adapter
from less_core.model.checkpoint import AdamState, Checkpoint
from less_core.model.gradients import PerExampleGradients
from less_core.model.loading import add_lora, load_base_model, pick_device, pick_dtype
from less_core.model.losses import IGNORE
from less_core.settings.select import LoraSettings

STORAGES = ("float16", "int8", "sign")
PRECISIONS = (  # of the model, of the adapter
    ("float32", torch.float32, torch.float32),
    ("bfloat16", torch.bfloat16, torch.bfloat16),  # as features are taken on a GPU
    ("bfloat16, adapter in float32", torch.bfloat16, torch.float32),
)
Scores = list[Tensor]  # a target each, [examples, subtasks]


def main() -> None:
    arguments = parse_arguments()
    began = time.perf_counter()
    device = pick_device("cpu")
    base = load_base_model(Path(arguments.model), pick_dtype(arguments.dtype, device), device)
    model = add_lora(base, LoraSettings(rank=arguments.rank, alpha=4 * arguments.rank))
    pool, warmup = shared.encode_pool(arguments)
    targets = [read_target(name, open_rows(f"{arguments.data}/eval/{name}.jsonl")) for name in shared.TARGETS]
    examples = shared.encode_targets(arguments, targets)
    checkpoints = shared.train(model, warmup)
    weights = checkpoint_weights([c.learning_rate for c in checkpoints])
    shared.report_time("warmup", began)
    exact, stored = score(model, checkpoints, weights, pool, targets, examples, arguments.dims)
    value: dict[str, Any] = {
        "model": Path(arguments.model).name,
        "dtype": arguments.dtype,
        "parameters": PerExampleGradients(model).size,
        "examples": len(pool),
        "top": shared.top_count(len(pool)),
        "shortlist": arguments.shortlist,
        "rows": [row for key, scores in stored.items() for row in compare(exact, scores, key, arguments.shortlist)],
    }
    print_rows(value)
    if arguments.oracle:
        began = time.perf_counter()
        value["oracle"] = against_oracle(arguments, checkpoints[0], pool[: arguments.oracle], targets[0], examples)
        shared.report_time("oracle", began)
        for name, found in value["oracle"].items():
            print(name, found)
    write_json(f"{arguments.out}/accuracy.json", value)


def parse_arguments() -> argparse.Namespace:
    parser = shared.make_parser(__doc__)
    parser.set_defaults(examples=320, dtype="bfloat16")  # the oracle, and what is compared with it, is in other precisions
    parser.add_argument("--dims", type=shared.dimensions, default="4096,8192,16384,32768,65536")
    parser.add_argument("--shortlist", type=float, default=0.2)
    parser.add_argument("--oracle", type=int, default=40, help="examples for the oracle; 0: none")
    return parser.parse_args()


def score(
    model: PeftModel,
    checkpoints: Sequence[Checkpoint],
    weights: Sequence[float],
    pool: Sequence[EncodedExample],
    targets: Sequence[Target],
    target_examples: Sequence[EncodedExample],
    dims: Sequence[int],
) -> tuple[Scores, dict[tuple[str, int], Scores]]:
    """Return exact scores, and those of every storage and dim."""
    parts = subtasks_of(targets, target_examples)

    def no_scores() -> Scores:
        return [torch.zeros(len(pool), len(part)) for part in parts]

    exact, stored = no_scores(), {(storage, dim): no_scores() for dim in dims for storage in STORAGES}
    for number, (checkpoint, weight) in enumerate(zip(checkpoints, weights, strict=True)):
        began = time.perf_counter()
        set_adapter(f"checkpoint {number + 1}", model, checkpoint.adapter)
        gradients = [target_gradients(model, part) for part in parts]
        identity = shared.Identity(PerExampleGradients(model).size)
        train, *products = gradient_extractor(model, checkpoint.adam, identity, gradients).extract(pool, 1024)
        for into, found in zip(exact, products, strict=True):
            into.add_(found.features, alpha=weight)
        target = shared.gradients(model, checkpoint, target_examples, "sgd")
        shared.report_time(f"gradients at checkpoint {number + 1}", began)
        for dim in dims:
            small_train, small_target = shared.project(make_projection("sketch", dim, number, model.device), [train.features, target])
            for storage in STORAGES:
                packed = pack(small_train, storage)
                for into, vectors in zip(stored[storage, dim], vectors_of(targets, small_target.half().float()), strict=True):
                    add_influence(into, packed, vectors, weight)
    return exact, stored


def subtasks_of(targets: Sequence[Target], examples: Sequence[EncodedExample]) -> list[list[list[EncodedExample]]]:
    """Return for each target the examples of each subtask."""
    parts, rest = [], iter(examples)
    for target in targets:
        by_name: dict[str, list[EncodedExample]] = {}
        for name in target.subtasks:
            by_name.setdefault(name, []).append(next(rest))
        parts.append(list(by_name.values()))
    return parts


def target_gradients(model: PeftModel, subtasks: Sequence[Sequence[EncodedExample]]) -> TargetGradients:
    of = PerExampleGradients(model.eval())
    return subtask_gradients(of, subtasks, fidelity="less-code", similarity="cosine", dtype=torch.float32, batch_tokens=1024)


def gradient_extractor(model: PeftModel, adam: AdamState, projection: Any, targets: Sequence[TargetGradients]) -> GradientExtractor:
    return GradientExtractor(model.eval(), gradient="adam", fidelity="less-code", adam=adam, projection=projection, targets=targets)


def vectors_of(targets: Sequence[Target], features: Tensor) -> list[Tensor]:
    found = []
    for target, rows in zip(targets, features.split([len(t.examples) for t in targets]), strict=True):
        names = list(dict.fromkeys(target.subtasks))
        subtask_of = torch.tensor([names.index(subtask) for subtask in target.subtasks])
        found.append(subtask_vectors(rows, torch.ones(len(rows)), subtask_of, len(names), "less-code"))
    return found


def compare(exact: Scores, scores: Scores, key: tuple[str, int], shortlist: float) -> list[dict[str, Any]]:
    """Return a row a target: Spearman with the exact scores, the share of the exact top 5% that is found, and that a shortlist finds."""
    storage, dim = key
    rows = []
    for name, truth, found in zip(shared.TARGETS, exact, scores, strict=True):
        true, got = best_subtask(truth)[0], best_subtask(found)[0]
        top = shared.top_count(len(true))
        best = set(true.topk(top).indices.tolist())
        listed = set(got.topk(max(1, round(shortlist * len(got)))).indices.tolist())
        rows.append(
            {
                "target": name,
                "storage": storage,
                "dim": dim,
                "bytes": row_bytes(storage, dim),
                "spearman": round(spearman(true.double().numpy(), got.double().numpy()) or 0.0, 4),
                "overlap": round(len(best & set(got.topk(top).indices.tolist())) / top, 4),
                "shortlisted": round(len(best & listed) / top, 4),
            }
        )
    return rows


def against_oracle(
    arguments: argparse.Namespace,
    checkpoint: Checkpoint,
    pool: Sequence[EncodedExample],
    target: Target,
    examples: Sequence[EncodedExample],
) -> dict[str, dict[str, float]]:
    """Compare the project's exact scores in several precisions with a plain statement in float64, at one checkpoint, for one target.

    The model's weights are rounded to bfloat16 for all of them, as those of most models are when they come, so that it is the precision of
    what is computed that differs.
    """
    (part,) = subtasks_of([target], list(examples[: len(target.examples)]))

    def load(compute: torch.dtype, adapter: torch.dtype) -> PeftModel:
        base = load_base_model(Path(arguments.model), torch.bfloat16, torch.device("cpu")).to(compute)
        model = add_lora(base, LoraSettings(rank=arguments.rank, alpha=4 * arguments.rank)).eval()
        set_adapter("oracle", model, checkpoint.adapter)
        for parameter in lora_parameters(model).values():
            parameter.data = parameter.data.to(adapter)
        return model

    double = load(torch.float64, torch.float64)
    rows = torch.stack([torch.stack([unit(plain_gradient(double, e)) for e in subtask]).mean(dim=0) for subtask in part])
    expected = torch.stack([rows @ unit(plain_update(plain_gradient(double, e), checkpoint.adam)) for e in pool])
    true = best_subtask(expected)[0]
    top = shared.top_count(len(pool))
    found = {}
    for name, compute, adapter in PRECISIONS:
        model = load(compute, adapter)
        (ours,) = gradient_extractor(model, checkpoint.adam, None, [target_gradients(model, part)]).extract(pool, 1024)
        got = best_subtask(ours.features.double())[0]
        found[name] = {
            "examples": len(pool),
            "spearman": spearman(true.numpy(), got.numpy()) or 0.0,
            "top": len({*true.topk(top).indices.tolist()} & {*got.topk(top).indices.tolist()}) / top,
            "largest_difference": float((true - got).abs().max()),
            "spread": float(true.max() - true.min()),
        }
    return found


def plain_gradient(model: PeftModel, example: EncodedExample) -> Tensor:
    """Return autograd's gradient of the model's own loss, all LoRA matrices in order of name."""
    model.zero_grad()
    ids = torch.tensor([example.input_ids])
    model(input_ids=ids, labels=torch.where(torch.tensor([example.label_mask]), ids, IGNORE)).loss.backward()
    parameters = lora_parameters(model)
    return torch.cat([parameters[name].grad.flatten() for name in sorted(parameters)])


def plain_update(gradient: Tensor, adam: AdamState) -> Tensor:
    """Return Adam's update as the LESS scripts compute it."""
    first, second = (torch.cat([m[n].flatten() for n in sorted(m)]).double() for m in (adam.first_moment, adam.second_moment))
    first = adam.beta1 * first + (1 - adam.beta1) * gradient
    second = adam.beta2 * second + (1 - adam.beta2) * gradient**2
    return first / torch.sqrt(second + 1e-8)


def unit(x: Tensor) -> Tensor:
    return x / torch.linalg.norm(x)


def print_rows(value: dict[str, Any]) -> None:
    print(f"{value['examples']} examples, {value['parameters']:,} coordinates; the top 5% are {value['top']}")
    print("| dim | stored as | bytes |" + "".join(f" {t}: Spearman | top 5% | in the shortlist |" for t in shared.TARGETS))
    cells: dict[tuple[int, str, int], list[str]] = {}
    for row in value["rows"]:
        key = (row["dim"], row["storage"], row["bytes"])
        cells.setdefault(key, []).append(f"{row['spearman']:.3f} | {row['overlap']:.2f} | {row['shortlisted']:.2f}")
    for (dim, storage, count), found in sorted(cells.items()):
        print(f"| {dim} | {storage} | {count:,} | {' | '.join(found)} |")


if __name__ == "__main__":
    main()
