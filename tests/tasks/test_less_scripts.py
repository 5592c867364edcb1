"""Moving over from the LESS scripts in the middle: their checkpoints and their gradients in, their scores and selections out.

The files are written here by a small script in the shapes that theirs have, and the scores are their formula, batch of one.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from samples import conversation, write_jsonl
from torch import Tensor

from less_core.data.rows.shapes import to_example
from less_core.errors import DataError
from less_core.method.projection import make_projection
from less_core.model.loading import add_lora, load_base_model
from less_core.model.losses import IGNORE
from less_core.storage.addresses import projection_seed
from tasks.encode import _encoder
from tasks.export import export_selection
from tasks.imported import gradients_path

pytestmark = pytest.mark.slow

STEPS, RATES = (3, 6), (1.5e-5, 5e-6)
EVERY = 16  # the scripts save every 160; fewer do as well
DIM = 64


def less_model(settings, seed: int) -> Any:
    """A model with an adapter as a warmup might have left it."""
    model = add_lora(load_base_model(Path(settings.model.path), torch.float32, torch.device("cpu")), settings.model.lora).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, p in trainable(model):
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
    return model


def trainable(model) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def write_checkpoint(folder: Path, model, number: int) -> dict[str, dict[str, Tensor]]:
    """checkpoint-N as the scripts' Trainer leaves it; return the optimizer's state by name."""
    generator = torch.Generator().manual_seed(100 + number)
    state = {
        name: {
            "step": torch.tensor(float(STEPS[number])),
            "exp_avg": 1e-3 * torch.randn(p.shape, generator=generator),
            "exp_avg_sq": 1e-6 * torch.rand(p.shape, generator=generator),
        }
        for name, p in trainable(model)
    }
    folder.mkdir(parents=True)
    torch.save({"state": state, "param_groups": [{"betas": (0.9, 0.999), "params": list(state)}]}, folder / "optimizer.bin")
    save_file({name.replace(".default", ""): p.detach().clone() for name, p in trainable(model)}, folder / "adapter_model.safetensors")
    lora = model.peft_config["default"]
    config = {"r": lora.r, "lora_alpha": lora.lora_alpha, "target_modules": sorted(lora.target_modules), "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    log = [{"step": step, "learning_rate": RATES[i]} for i, last in enumerate(STEPS) for step in range(last - 2, last + 1)]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": STEPS[number], "log_history": log}))
    return state


def gradient(model, encoded, state: dict[str, dict[str, Tensor]] | None) -> Tensor:
    """obtain_gradients, or with a state obtain_gradients_with_adam: all trainable parameters in the model's own order."""
    model.zero_grad()
    ids = torch.tensor([encoded.input_ids])
    model(input_ids=ids, labels=torch.where(torch.tensor([encoded.label_mask]), ids, IGNORE)).loss.backward()
    g = torch.cat([p.grad.view(-1) for _, p in trainable(model)])
    if state is None:
        return g
    m, v = (torch.cat([state[name][key].view(-1) for name, _ in trainable(model)]) for key in ("exp_avg", "exp_avg_sq"))
    return (0.9 * m + (1 - 0.9) * g) / torch.sqrt(0.999 * v + (1 - 0.999) * g**2 + 1e-08)


def write_gradients(folder: Path, rows: Tensor) -> Tensor:
    """Pieces, and both merged files; return what all_orig.pt holds."""
    folder.mkdir(parents=True)
    pieces = list(rows.half().split(EVERY))
    for number, piece in enumerate(pieces):
        torch.save(piece.clone(), folder / f"grads-{min((number + 1) * EVERY, len(rows))}.pt")
    merged = torch.cat([torch.nn.functional.normalize(piece, dim=1) for piece in pieces])
    torch.save(merged, folder / "all_orig.pt")
    torch.save(torch.cat(pieces), folder / "all_unormalized.pt")
    return merged


def matching(train: list[Tensor], validation: list[Tensor], subtasks: int) -> Tensor:
    """The score of matching.py: weights over their sum, mean in a subtask, maximum over subtasks of one size."""
    weights = [rate / sum(RATES) for rate in RATES]
    score = sum(w * t.float() @ v.float().T for w, t, v in zip(weights, train, validation, strict=True))
    return score.reshape(len(score), subtasks, -1).mean(-1).max(-1)[0]


class LessRun:
    """What a user of the scripts has: data, checkpoints, and the gradients of `collect_grads` at each."""

    def __init__(self, make_settings, tmp_path: Path) -> None:
        write_jsonl(tmp_path / "t.jsonl", [conversation(i) | {"subtask": s} for i, s in enumerate(["x", "x", "y", "y"], 2000)])
        write_jsonl(tmp_path / "a.jsonl", [conversation(3000 + i % 34) for i in range(36)])  # two rows stand twice
        self.settings = make_settings(features={"projection": {"dim": DIM}, "max_length": 128, "storage": "float32"})
        self.encoder = _encoder(self.settings.model.path, "chat", 128, "")
        self.folders: list[str] = []
        self.raw: dict[str, list[Tensor]] = {"a": [], "b": [], "t": []}  # before projection
        for number, step in enumerate(STEPS):
            model = less_model(self.settings, number)
            folder = tmp_path / "out" / f"checkpoint-{step}"
            state = write_checkpoint(folder, model, number)
            self.folders.append(str(folder))
            self.names = [name for name, _ in trainable(model)]
            self.shapes = [p.numel() for _, p in trainable(model)]
            for name in ("a", "b", "t"):
                examples = [to_example(json.loads(line)) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
                encoded = self.encoder.encode(examples)
                self.raw[name].append(torch.stack([gradient(model, e, None if name == "t" else state) for e in encoded]))


@pytest.fixture
def less_run(make_settings, tmp_path: Path) -> LessRun:
    return LessRun(make_settings, tmp_path)


def scores_by_row(result, tmp_path: Path) -> dict[str, list[float]]:
    scores = result.scores()
    rows = {name: (tmp_path / f"{name}.jsonl").read_text().splitlines() for name in ("a", "b")}
    return {name: [scores[to_example(json.loads(line)).example_id] for line in lines] for name, lines in rows.items()}


def test_gradients_that_the_scripts_wrote_give_the_scores_of_their_formula(less_run, run_stages, tmp_path) -> None:
    matrix = torch.randint(0, 2, (sum(less_run.shapes), DIM), generator=torch.Generator().manual_seed(5)) * 2.0 - 1
    stored = {
        name: [
            write_gradients(tmp_path / "grads" / f"{name}-ckpt{step}-{'sgd' if name == 't' else 'adam'}" / f"dim{DIM}", raw @ matrix)
            for step, raw in zip(STEPS, less_run.raw[name], strict=True)
        ]
        for name in less_run.raw
    }
    pattern = f"{tmp_path}/grads/{{name}}-ckpt{{checkpoint}}-%s/dim{DIM}"
    imported = {"pool": pattern % "adam", "target": pattern % "sgd", "checkpoints": STEPS, "learning_rates": RATES}
    settings = less_run.settings.model_copy(update={"imported": less_run.settings.imported.model_validate(imported)})
    result = run_stages(settings)
    found = scores_by_row(result, tmp_path)
    for name in ("a", "b"):
        expected = matching(stored[name], stored["t"], subtasks=2)
        # Theirs are normalised in half precision, ours from the half-precision rows in float32.
        assert found[name] == pytest.approx(expected.tolist(), abs=2e-3)
    assert [c.weight for c in result.checkpoints.checkpoints] == pytest.approx([0.75, 0.25])
    again = run_stages(settings)
    assert all(shard.computed == 0 for shard in again.pool_shards)


def test_checkpoints_that_the_scripts_wrote_give_the_scores_of_their_formula(less_run, run_stages, tmp_path) -> None:
    warmup = less_run.settings.warmup.model_copy(update={"checkpoints": less_run.folders})
    settings = less_run.settings.model_copy(update={"warmup": warmup})
    result = run_stages(settings)
    # Our flattened gradient has the parameters in the order of their names, the scripts' in the model's: rows of the matrix move along.
    places, start = {}, 0
    for name, size in zip(less_run.names, less_run.shapes, strict=True):
        places[name.replace(".default", "")] = torch.arange(start, start + size)
        start += size
    order = torch.cat([places[name] for name in sorted(places)])
    train: dict[str, list[Tensor]] = {"a": [], "b": [], "t": []}
    for number, checkpoint in enumerate(result.checkpoints.checkpoints):
        projection = make_projection("sketch", DIM, projection_seed(settings.features, checkpoint.fingerprint), torch.device("cpu"))
        for name, raw in less_run.raw.items():
            out = torch.zeros(len(raw[number]), DIM)
            projection.add(out, raw[number][:, order].clone(), 0)
            train[name].append(torch.nn.functional.normalize(out, dim=1))
    assert [c.learning_rate for c in result.checkpoints.checkpoints] == pytest.approx(RATES)
    found = scores_by_row(result, tmp_path)
    for name in ("a", "b"):
        assert found[name] == pytest.approx(matching(train[name], train["t"], subtasks=2).tolist(), abs=1e-5)


def test_gradients_of_another_number_of_rows_are_refused(less_run, run_stages, tmp_path) -> None:
    for name, raw in less_run.raw.items():
        for step, rows in zip(STEPS, raw, strict=True):
            write_gradients(tmp_path / "g" / f"{name}-{step}", rows[: None if name != "b" else -1, :DIM])
    pattern = f"{tmp_path}/g/{{name}}-{{checkpoint}}"
    imported = {"pool": pattern, "target": pattern, "checkpoints": STEPS, "learning_rates": RATES}
    settings = less_run.settings.model_copy(update={"imported": less_run.settings.imported.model_validate(imported)})
    assert gradients_path(settings, "pool", "b", 3) == f"{tmp_path}/g/b-3"
    with pytest.raises(DataError, match="b-3: expected a gradient for each of the 20 rows of pool b, got 19"):
        run_stages(settings)


def test_example_whose_gradient_is_not_finite_is_flagged_and_never_selected(less_run, run_stages, tmp_path) -> None:
    for name, raw in less_run.raw.items():
        for step, rows in zip(STEPS, raw, strict=True):
            few = rows[:, :DIM].clone()
            if name == "b":
                few[7] = torch.nan
            write_gradients(tmp_path / "g" / f"{name}-{step}", few)
    pattern = f"{tmp_path}/g/{{name}}-{{checkpoint}}"
    imported = {"pool": pattern, "target": pattern, "checkpoints": STEPS, "learning_rates": RATES}
    settings = less_run.settings.model_copy(update={"imported": less_run.settings.imported.model_validate(imported)})
    result = run_stages(settings)
    assert [pool.nonfinite for pool in result.influence.pools] == [0, 1]
    assert scores_by_row(result, tmp_path)["b"][7] is None


def test_a_selection_is_exported_in_the_files_of_the_scripts(make_settings, run_stages, tmp_path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [*(conversation(i) for i in range(30)), conversation(3)])
    settings = make_settings(selection={"by": "fraction", "amount": 0.1})
    result = run_stages(settings)
    folders = export_selection.fn(settings.runs, settings.name, str(tmp_path / "selected_data"))
    assert folders == [str(tmp_path / "selected_data" / "t")]
    expected = scores_by_row(result, tmp_path)
    for name in ("a", "b"):
        saved = torch.load(tmp_path / "selected_data" / "t" / f"{name}_influence_score.pt", weights_only=True)
        assert saved.tolist() == pytest.approx(expected[name])
    assert (tmp_path / "selected_data" / "t" / "top_p0.1.jsonl").read_bytes().splitlines() == result.selected()
    with (tmp_path / "selected_data" / "t" / "sorted.csv").open() as file:
        rows = list(csv.reader(file, skipinitialspace=True))
    assert rows[0] == ["file name", "index", "score"]
    best = [(tmp_path / f"{name}.jsonl").read_bytes().splitlines()[int(row)] for name, row, _ in rows[1:]]
    distinct = list(dict.fromkeys(best))  # a row that stands twice has its score twice
    assert distinct[:5] == result.selected()[:5]


def test_files_of_a_pool_are_kept_apart_in_the_export_and_ties_go_by_the_selection(make_settings, run_stages, tmp_path) -> None:
    (tmp_path / "pool" / "a").mkdir(parents=True)
    write_jsonl(tmp_path / "pool" / "a" / "b.jsonl", [conversation(i) for i in range(10)])
    write_jsonl(tmp_path / "pool" / "a-b.jsonl", [conversation(i) for i in range(20, 32)])
    settings = make_settings(pools=[{"name": "p", "path": "pool/**/*.jsonl"}], method="bm25", selection={"by": "count", "amount": 12})
    result = run_stages(settings)
    (folder,) = export_selection.fn(settings.runs, settings.name, str(tmp_path / "out"))
    files = sorted(path.name for path in Path(folder).glob("*.pt"))
    assert files == ["p-a%2Fb.jsonl_influence_score.pt", "p-a-b.jsonl_influence_score.pt"]
    assert [len(torch.load(Path(folder) / name, weights_only=True)) for name in files] == [10, 12]
    with (Path(folder) / "sorted.csv").open() as file:
        first = list(csv.reader(file, skipinitialspace=True))[1:13]
    lines = {"p-a%2Fb.jsonl": tmp_path / "pool" / "a" / "b.jsonl", "p-a-b.jsonl": tmp_path / "pool" / "a-b.jsonl"}
    assert [lines[name].read_bytes().splitlines()[int(row)] for name, row, _ in first] == result.selected()
