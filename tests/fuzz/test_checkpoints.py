"""Checkpoints, ours and from elsewhere, whatever their bytes: what was written, or an error that names the file."""

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from counts import Count
from fuzzing import mutations, outcome, replaced, tries, values
from hypothesis import given
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from trainings import LORA, to_less, train

from less_core.model.adapter import check_match, lora_parameters
from less_core.model.checkpoint import Checkpoint
from less_core.model.foreign_checkpoints import import_checkpoint
from less_core.model.loading import add_lora
from less_core.storage.formats.checkpoints import checkpoint_fingerprint, is_whole, read_checkpoint, write_checkpoint

OURS = ["checkpoint.json", "adapter_config.json", "adapter_model.safetensors", "adam_state.safetensors"]
TRAINER = ["trainer_state.json", "adapter_config.json", "adapter_model.safetensors", "optimizer.pt"]
LESS = ["trainer_state.json", "adapter_config.json", "adapter_model.bin", "optimizer.bin"]
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def model(base_models: dict[str, Callable[[], Any]]) -> PeftModel:
    return add_lora(base_models["llama"](), LORA)


@pytest.fixture(scope="module")
def made(model: PeftModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """The files of one checkpoint as the Trainer, the LESS scripts and this project write it."""
    folder = train(model, tmp_path_factory.mktemp("trainer"))
    found = {"trainer": contents(folder, TRAINER)}
    write_checkpoint(f"{folder}-ours", import_checkpoint(folder, model, after_step=2))
    to_less(folder, model)
    return found | {"less": contents(folder, LESS), "ours": contents(Path(f"{folder}-ours"), OURS)}


def contents(folder: Path, names: list[str]) -> Files:
    return {name: (folder / name).read_bytes() for name in names}


def put(folder: Path, files: Files) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def equal(one: Checkpoint, other: Checkpoint) -> bool:
    numbers = [(c.step, c.learning_rate, c.adapter_config, c.adam.step, c.adam.beta1, c.adam.beta2) for c in (one, other)]
    tensors = [(c.adapter, c.adam.first_moment, c.adam.second_moment) for c in (one, other)]
    return numbers[0] == numbers[1] and all(map(same_tensors, *tensors))


def same_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name].nan_to_num(7), other[name].nan_to_num(7)) for name in one)


@given(data=st.data(), name=st.sampled_from(OURS))
@tries(80)
def _ours(counts: Counter[str], folder: Path, files: Files, data: st.DataObject, name: str) -> None:
    put(folder, files)
    whole = read_checkpoint(str(folder))
    (folder / name).write_bytes(data.draw(mutations(files[name])))
    changed = (folder / name).read_bytes() != files[name]
    found = outcome(counts, lambda: read_checkpoint(str(folder)), str(folder / name))
    assert found is None or equal(found, whole)
    assert found is None or not changed or name == "checkpoint.json"  # white space
    assert is_whole(str(folder)) == (found is not None)
    kept = {path.name.removesuffix(".corrupt"): path.read_bytes() for path in folder.iterdir()}
    assert kept[name] != files[name] or not changed
    assert {n: c for n, c in kept.items() if n != name} == {n: c for n, c in files.items() if n != name}


def test_checkpoints_of_changed_bytes_are_what_was_written_or_an_error(made: dict[str, Files], tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _ours(counts, tmp_path / "c", made["ours"])
    count(**counts)


@given(data=st.data())
@tries(70)
def _record(counts: Counter[str], folder: Path, files: Files, data: st.DataObject) -> None:
    put(folder, files)
    record = json.loads(files["checkpoint.json"])
    new = data.draw(replaced(record))
    (folder / "checkpoint.json").write_text(json.dumps(new))
    for read in (read_checkpoint, checkpoint_fingerprint):
        found = outcome(counts, lambda read=read: read(str(folder)), str(folder))
        assert found is None or new == record
    assert is_whole(str(folder)) == (new == record)


def test_checkpoints_with_another_record_are_an_error(made: dict[str, Files], tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _record(counts, tmp_path / "c", made["ours"])
    count(**counts)


def taken(folder: Path, model: PeftModel) -> Checkpoint:
    """Import a checkpoint and write it as ours, as a run does; what is imported must fit the model and be written whole."""
    found = import_checkpoint(folder, model, after_step=2)
    for tensors in (found.adapter, found.adam.first_moment, found.adam.second_moment):
        check_match("imported", model, tensors, "tensors")
        assert {t.dtype for t in tensors.values()} == {torch.float32}
    assert isinstance(found.step, int)
    assert found.step > 0
    assert all(math.isfinite(n) for n in (found.learning_rate, found.adam.beta1, found.adam.beta2))
    assert found.learning_rate >= 0
    assert 0 <= found.adam.beta1 < 1
    assert 0 <= found.adam.beta2 < 1
    write_checkpoint(f"{folder}-ours", found)
    assert equal(read_checkpoint(f"{folder}-ours"), found)
    return found


def read_plainly(folder: Path, *, by_name: bool) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return the adapter's tensors and Adam's two moments as torch and safetensors read them, in the order of the file's names."""
    safe = folder / "adapter_model.safetensors"
    adapter = load_file(safe) if safe.exists() else torch.load(folder / "adapter_model.bin", weights_only=True)
    state = torch.load(folder / ("optimizer.bin" if by_name else "optimizer.pt"), map_location="cpu", weights_only=True)["state"]
    return list(adapter.values()), [s["exp_avg"] for s in state.values()], [s["exp_avg_sq"] for s in state.values()]


@given(data=st.data())
@tries(80)
def _elsewhere(counts: Counter[str], folder: Path, files: Files, model: PeftModel, data: st.DataObject) -> None:
    put(folder, files)
    name = data.draw(st.sampled_from(sorted(files)))
    (folder / name).write_bytes(data.draw(mutations(files[name])))
    found = outcome(counts, lambda: taken(folder, model), str(folder))
    if found:
        expected = read_plainly(folder, by_name="optimizer.bin" in files)
        for ours, theirs in zip((found.adapter, found.adam.first_moment, found.adam.second_moment), expected, strict=True):
            assert all(torch.equal(a.nan_to_num(7), b.float().nan_to_num(7)) for a, b in zip(ours.values(), theirs, strict=True))


@pytest.mark.parametrize("kind", ["trainer", "less"])
def test_checkpoints_from_elsewhere_of_changed_bytes_are_what_is_in_them_or_an_error(
    made: dict[str, Files], model: PeftModel, tmp_path: Path, count: Count, kind: str
) -> None:
    counts: Counter[str] = Counter()
    _elsewhere(counts, tmp_path / "c", made[kind], model)
    count(**counts)


@given(data=st.data(), name=st.sampled_from(["trainer_state.json", "adapter_config.json"]), kind=st.sampled_from(["trainer", "less"]))
@tries(70)
def _described(
    counts: Counter[str], folder: Path, made: dict[str, Files], model: PeftModel, data: st.DataObject, name: str, kind: str
) -> None:
    put(folder, made[kind])
    odd = values | st.sampled_from([math.inf, math.nan, -1, 0, 1e400, 10**30, "4", "1e-3", [{}], [{"learning_rate": None, "step": 4}]])
    (folder / name).write_text(json.dumps(data.draw(replaced(json.loads(made[kind][name]), odd))))
    outcome(counts, lambda: taken(folder, model), str(folder / name))


def test_checkpoints_from_elsewhere_with_another_description_are_taken_or_an_error_with_the_file(
    made: dict[str, Files], model: PeftModel, tmp_path: Path, count: Count
) -> None:
    counts: Counter[str] = Counter()
    _described(counts, tmp_path / "c", made, model)
    count(**counts)


SHAPE = (2, 32)  # of some of the model's parameters
tensors = st.sampled_from(
    [
        torch.zeros(SHAPE),
        torch.zeros(SHAPE, dtype=torch.float16),
        torch.zeros(SHAPE, dtype=torch.bfloat16),
        torch.zeros(SHAPE, dtype=torch.float64),
        torch.zeros(SHAPE, dtype=torch.int64),
        torch.zeros(SHAPE, dtype=torch.bool),
        torch.zeros(SHAPE, dtype=torch.complex64),
        torch.zeros(SHAPE).to_sparse(),
        torch.zeros(SHAPE, device="meta"),
        torch.zeros(1).expand(SHAPE),
        torch.zeros(SHAPE[::-1]).T,
        torch.full(SHAPE, torch.nan),
        torch.zeros(SHAPE, requires_grad=True),
        torch.quantize_per_tensor(torch.zeros(SHAPE), 0.1, 0, torch.qint8),
        torch.zeros(3, 3),
        torch.zeros(0),
        torch.tensor(1.0),
    ]
)


@given(data=st.data(), kind=st.sampled_from(["trainer", "less"]))
@tries(70)
def _valued(counts: Counter[str], folder: Path, made: dict[str, Files], model: PeftModel, data: st.DataObject, kind: str) -> None:
    put(folder, made[kind])
    name = data.draw(st.sampled_from(["optimizer.pt"] if kind == "trainer" else ["optimizer.bin", "adapter_model.bin"]))
    saved = dict(torch.load(folder / name, weights_only=True))
    torch.save(data.draw(replaced(saved, tensors | values)), folder / name)
    outcome(counts, lambda: taken(folder, model), str(folder / name))


def test_checkpoints_from_elsewhere_with_any_values_are_taken_or_an_error_with_the_file(
    made: dict[str, Files], model: PeftModel, tmp_path: Path, count: Count
) -> None:
    counts: Counter[str] = Counter()
    _valued(counts, tmp_path / "c", made, model)
    count(**counts)


OTHERS = {
    "rank": ("llama", LORA.model_copy(update={"rank": 3})),
    "alpha": ("llama", LORA.model_copy(update={"alpha": 5})),
    "modules": ("llama", LORA.model_copy(update={"target_modules": ["q_proj"]})),
    "more modules": ("llama", LORA.model_copy(update={"target_modules": ["q_proj", "v_proj", "o_proj"]})),
    "shapes": ("grouped-query", LORA),
    "base": ("gpt2", LORA.model_copy(update={"target_modules": ["c_attn"]})),
}


@pytest.mark.parametrize("kind", ["trainer", "less"])
@pytest.mark.parametrize("other", OTHERS)
def test_checkpoints_of_another_model_are_an_error(
    made: dict[str, Files], base_models: dict[str, Callable[[], Any]], tmp_path: Path, count: Count, kind: str, other: str
) -> None:
    counts: Counter[str] = Counter()
    base, lora = OTHERS[other]
    put(tmp_path / "c", made[kind])
    assert outcome(counts, lambda: taken(tmp_path / "c", add_lora(base_models[base](), lora)), str(tmp_path / "c")) is None
    count(**counts)


@given(data=st.data())
@tries(60)
def _renamed(counts: Counter[str], folder: Path, files: Files, model: PeftModel, data: st.DataObject) -> None:
    put(folder, files)
    adapter = load_file(folder / "adapter_model.safetensors")
    lost = data.draw(st.sampled_from(sorted(adapter)))
    tensor = adapter.pop(lost)
    for name in data.draw(
        st.lists(st.sampled_from([f"{lost}x", f"module.{lost}", "", lost.replace("lora_A", "lora_B"), "modules_to_save"]))
    ):
        adapter[name] = tensor.clone()
    save_file(adapter, folder / "adapter_model.safetensors")
    found = outcome(counts, lambda: taken(folder, model), str(folder))
    assert found is None or set(adapter) - set(lora_parameters(model)) <= {f"module.{lost}"}


def test_checkpoints_with_more_or_fewer_parameters_are_an_error(
    made: dict[str, Files], model: PeftModel, tmp_path: Path, count: Count
) -> None:
    counts: Counter[str] = Counter()
    _renamed(counts, tmp_path / "c", made["trainer"], model)
    count(**counts)


@pytest.mark.parametrize(
    "config", [{"use_rslora": True}, {"alpha_pattern": {"q_proj": 8}}, {"rank_pattern": {"q_proj": 2}}, {"use_dora": True}]
)
def test_checkpoints_whose_adapter_scales_otherwise_are_an_error(
    made: dict[str, Files], model: PeftModel, tmp_path: Path, count: Count, config: dict[str, Any]
) -> None:
    counts: Counter[str] = Counter()
    put(tmp_path / "c", made["trainer"])
    file = tmp_path / "c" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    assert outcome(counts, lambda: taken(tmp_path / "c", model), str(file), next(iter(config))) is None
    count(**counts)
