"""The preflight: what is wrong is said before anything heavy, good settings pass, and nothing is left or loaded."""

import builtins
import json
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
import torch
import yaml
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations
from samples import conversation
from transformers import AutoModelForCausalLM, PreTrainedModel

from less_core.data.rows.files import Row
from less_core.errors import ConfigError, LessError
from less_core.model import loading
from less_core.model.checkpoint import AdamState, Checkpoint
from less_core.preflight.checks import ROWS_TRIED, check_settings, check_space
from less_core.settings.file import load_settings
from less_core.settings.select import SelectSettings
from less_core.storage.formats.checkpoints import write_checkpoint

ADAPTER = {"r": 4, "lora_alpha": 8, "target_modules": ["v_proj", "o_proj", "q_proj"]}  # as make_settings has model.lora


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here may load a model's weights."""

    def load(*args: Any, **kwargs: Any) -> None:
        pytest.fail("the weights of a model were loaded")

    monkeypatch.setattr(loading, "load_base_model", load)
    for kind in (AutoModelForCausalLM, PreTrainedModel):
        monkeypatch.setattr(kind, "from_pretrained", load)


@dataclass(frozen=True)
class World:
    """Good settings and their files, for a test to spoil."""

    make: Callable[..., SelectSettings]
    folder: Path
    tiny_model: Path
    monkeypatch: pytest.MonkeyPatch

    def load(self, *overrides: str) -> None:
        """Load good settings from a file, with overrides."""
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.make().model_dump(mode="json")), encoding="utf-8")
        load_settings(path, overrides)

    def load_text(self, text: str) -> None:
        (self.folder / "config.yaml").write_text(text, encoding="utf-8")
        self.load_file("config.yaml")

    def load_file(self, name: str) -> None:
        load_settings(self.folder / name)

    def check(self, **sections: Any) -> None:
        """Check settings that hold in themselves."""
        try:
            settings = self.make(**sections)
        except LessError as error:
            pytest.fail(f"not for the preflight to find: {error}")
        check_settings(settings)

    def check_model(self, folder: Path, **changes: Any) -> None:
        self.check(model={"path": str(folder), "lora": {"rank": 4, "alpha": 8, "target_modules": ["q_proj"]}} | changes)

    def check_pool(self, content: str = "", name: str = "new.jsonl", **changes: Any) -> None:
        (self.folder / name).write_text(content, encoding="utf-8")
        self.check(pools=[{"name": "a", "path": "a.jsonl"}, {"name": "new", "path": name} | changes])

    def check_target(self, content: str) -> None:
        (self.folder / "new.jsonl").write_text(content, encoding="utf-8")
        self.check(targets=[{"name": "new", "path": "new.jsonl"}])

    def check_checkpoints(self, *paths: object) -> None:
        self.check(warmup={"checkpoints": [str(path) for path in paths]})

    def model(self, lost: str = "", config: str = "", **changes: Any) -> Path:
        """A copy of the tiny model without a file, with another config.json, or with changes to it."""
        folder = self.folder / "copy"
        shutil.copytree(self.tiny_model, folder)
        path = folder / "config.json"
        path.write_text(config or json.dumps(json.loads(path.read_text()) | changes))
        if lost:
            (folder / lost).unlink()
        return folder

    def trainers(self, lost: str = "", **changes: Any) -> Path:
        """A checkpoint as the Trainer leaves it, its large files empty."""
        folder = self.folder / "checkpoint-7"
        folder.mkdir()
        for name in ("adapter_model.safetensors", "optimizer.pt", "trainer_state.json"):
            (folder / name).touch()
        (folder / "adapter_config.json").write_text(json.dumps(ADAPTER | changes))
        if lost:
            (folder / lost).unlink()
        return folder

    def ours(self, lost: str = "", **changes: Any) -> Path:
        """A checkpoint of this project."""
        folder = self.folder / "checkpoint-8"
        adam = AdamState(8, 0.9, 0.999, first_moment={"w": torch.zeros(2)}, second_moment={"w": torch.ones(2)})
        write_checkpoint(str(folder), Checkpoint(8, 1e-3, ADAPTER | changes, {"w": torch.zeros(2)}, adam))
        if lost:
            (folder / lost).unlink()
        return folder

    def touch(self, name: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return str(path)

    def spoil(self, path: Path, content: str) -> Path:
        """Overwrite a file, and return its folder."""
        path.write_text(content)
        return path.parent

    def deny(self, owner: object, method: str, named: str) -> None:
        """Refuse what the method is asked for in a path that has `named` in it. Tests may run as root, whom no mode bits stop."""
        inner: Any = getattr(owner, method)

        def denied(*args: Any, **kwargs: Any) -> Any:
            if any(named in str(argument) for argument in args):
                raise PermissionError(13, "Permission denied", named)
            return inner(*args, **kwargs)

        self.monkeypatch.setattr(owner, method, denied)


@pytest.fixture
def world(make_settings: Callable[..., SelectSettings], tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(make_settings, tmp_path, tiny_model, monkeypatch)


IMPORTED = {"pool": "{name}.pt", "target": "{name}.pt", "checkpoints": [1], "learning_rates": [1e-5]}
FAST_JL = {"projection": {"kind": "fast-jl", "dim": 512}, "max_length": 128}
GPT2 = json.dumps({"model_type": "gpt2", "n_positions": 100, "n_embd": 32, "n_layer": 1, "n_head": 2})
ROW = json.dumps(conversation(0)) + "\n"
BAD = '{"text": "no example"}\n'


def without_package(w: World) -> None:
    w.monkeypatch.setitem(known_implementations, "sharedfs", {"class": "no_such_package.FileSystem", "err": "Install no-such-package"})
    w.check(store="sharedfs://bucket/store")


def without_right_to_write(w: World) -> None:
    w.deny(LocalFileSystem, "open", ".less-flow-probe")
    w.check()


def without_right_to_write_there(w: World) -> None:
    w.deny(MemoryFileSystem, "makedirs", "bucket")
    w.check(runs="memory://bucket/runs")


def without_right_to_read(w: World) -> None:
    w.deny(builtins, "open", "b.jsonl")
    w.check()


def without_cuda(w: World) -> None:
    w.monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    w.check(execution={"device": "cuda"})


def without_fast_jl(w: World) -> None:
    w.monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    w.monkeypatch.setitem(sys.modules, "fast_jl", None)
    w.check(features=FAST_JL, execution={"device": "cuda"})


def without_hub(w: World) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("404 Client Error\nmore lines")

    w.monkeypatch.setattr(loading, "snapshot_download", refuse)
    w.check_model(Path("owner/no-such-model"))


# What is wrong, how it comes about, and what the message must name.
LOADING: list[tuple[str, Callable[[World], None], list[str]]] = [
    ("unknown key", lambda w: w.load("nmae=x"), ["config.yaml", "nmae", "'x'"]),
    ("unknown key deep down", lambda w: w.load("model.lora.ranks=8"), ["model.lora.ranks"]),
    ("key not given", lambda w: w.load_text("name: r\n"), ["config.yaml", "model", "pools", "targets"]),
    ("rank below its bound", lambda w: w.load("model.lora.rank=0"), ["model.lora.rank", "got 0"]),
    ("text for a number", lambda w: w.load("warmup.epochs=many"), ["warmup.epochs", "'many'"]),
    ("unknown choice", lambda w: w.load("features.gradient=adamw"), ["features.gradient", "'adamw'"]),
    ("fraction above 1", lambda w: w.load("selection.by=fraction", "selection.amount=2"), ["selection", "amount", "got 2"]),
    ("two pools of one name", lambda w: w.load("pools.1.name=a"), ["pool names", "'a'"]),
    ("pool of file and hub", lambda w: w.load("pools.0.hub=owner/data"), ["pools.0", "`hub`"]),
    ("dim that fast-jl cannot do", lambda w: w.load("features.projection={kind: fast-jl, dim: 64}"), ["features.projection", "512", "64"]),
    ("quota above 1", lambda w: w.load("pools.0.quota=2"), ["pools.0.quota", "got 2"]),
    ("built-in target without a source", lambda w: w.load("targets.0={name: t, builtin: mmlu}"), ["targets.0", "`data_dir`", "`hub`"]),
    ("target of file and built-in", lambda w: w.load("targets.0.builtin=mmlu"), ["targets.0", "`path` and `builtin`"]),
    ("target of no built-in name", lambda w: w.load("targets.0={name: t, builtin: arc, hub: a/b}"), ["targets.0.builtin", "'arc'"]),
    ("gradients imported in part", lambda w: w.load("imported.pool=grads"), ["imported", "`learning_rates`", "none of them"]),
    ("checkpoints counted from 0", lambda w: w.load("influence.checkpoints=[0, 1]"), ["influence", "counted from 1", "[0, 1]"]),
    (
        "dimension that does not divide",
        lambda w: w.load("influence.dim=96"),
        ["`influence.dim`", "features.projection.dim = 256", "got 96"],
    ),
    ("dimension of another method", lambda w: w.load("influence.dim=64", "method=bm25"), ["`influence.dim` of 0", "`method: less`"]),
    ("bounds the wrong way round", lambda w: w.load("selection.min_tokens=9", "selection.max_tokens=8"), ["`min_tokens`", "9 and 8"]),
    ("override without =", lambda w: w.load("selection.amount"), ["--set selection.amount", "key.sub=value"]),
    ("override of an item that is not there", lambda w: w.load("pools.7.sample=1"), ["pools.7.sample", "2 items"]),
    ("file that is not YAML", lambda w: w.load_text("name: [r\n"), ["config.yaml", "YAML", "line 2"]),
    ("file that is no mapping", lambda w: w.load_text("- r\n"), ["config.yaml", "list"]),
    ("no such file", lambda w: w.load_file("nowhere.yaml"), ["nowhere.yaml"]),
]

FOLDERS: list[tuple[str, Callable[[World], None], list[str]]] = [
    ("store of unknown protocol", lambda w: w.check(store="nope://bucket/store"), ["store = nope://bucket/store", "nope"]),
    ("store whose package is not installed", without_package, ["store = sharedfs://", "Install no-such-package"]),
    ("store is empty", lambda w: w.check(store=" "), ["store", "a folder or a URL"]),
    ("store is a file", lambda w: w.check(store=w.touch("here")), ["store = ", "a file at ", "here"]),
    ("store below a file", lambda w: w.check(store=w.touch("here") + "/deep/store"), ["store = ", "here/deep/store", "a file at "]),
    ("store that cannot be made", lambda w: w.check(store="/proc/less/store"), ["store = /proc/less/store"]),
    ("store that cannot be written", without_right_to_write, ["store = ", "Permission denied"]),
    ("results of unknown protocol", lambda w: w.check(runs="nope://bucket"), ["runs = nope://bucket"]),
    ("results of the run are a file", lambda w: w.check(runs=str(Path(w.touch("out/test")).parent)), ["runs = ", "out/test"]),
    ("remote results that cannot be written", without_right_to_write_there, ["runs = memory://bucket/runs", "Permission denied"]),
]

MODEL: list[tuple[str, Callable[[World], None], list[str]]] = [
    ("no CUDA device", without_cuda, ["execution.device"]),
    ("fast-jl on a CPU", lambda w: w.check(features=FAST_JL), ["features.projection.kind = fast-jl", "cpu"]),
    ("fast-jl not installed", without_fast_jl, ["features.projection.kind = fast-jl", "fast_jl"]),
    ("no such model folder", lambda w: w.check_model(w.folder / "nowhere"), ["model.path", "nowhere"]),
    ("no such model on the hub", without_hub, ["model.path", "owner/no-such-model", "404 Client Error"]),
    ("model without config", lambda w: w.check_model(w.model("config.json")), ["model.path", "config.json"]),
    ("model without safetensors", lambda w: w.check_model(w.model("model.safetensors")), ["model.path", "*.safetensors"]),
    (
        "pointer to weights instead of weights",
        lambda w: w.check_model(w.spoil(w.model() / "model.safetensors", "version https://git-lfs.github.com/spec/v1\n")),
        ["copy/model.safetensors", "whole safetensors"],
    ),
    ("config.json is not JSON", lambda w: w.check_model(w.model(config="{")), ["copy/config.json", "not a valid JSON"]),
    ("unknown architecture", lambda w: w.check_model(w.model(model_type="nope")), ["copy/config.json", "`nope`"]),
    ("no language model", lambda w: w.check_model(w.model(config='{"model_type": "clip"}')), ["copy/config.json", "CLIPConfig"]),
    (
        "model with code of its own",
        lambda w: w.check_model(w.model(config='{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}')),
        ["copy/config.json", "custom code"],
    ),
    ("model without tokenizer", lambda w: w.check_model(w.model("tokenizer.json")), ["model.path", "tokenizer"]),
    (
        "chat template asked for, none there",
        lambda w: w.check_model(w.model("chat_template.jinja"), template="chat"),
        ["model.template = chat"],
    ),
    (
        "module that the model has not",
        lambda w: w.check_model(w.tiny_model, lora={"target_modules": ["q_proj", "c_attn"]}),
        ["model.lora.target_modules", "['c_attn']", "'q_proj'"],
    ),
    (
        "examples longer than the positions",
        lambda w: w.check(features={"max_length": 513}),
        ["features.max_length", "at most 512, the max_position_embeddings", "got 513"],
    ),
    (
        "examples longer than the positions of GPT-2",
        lambda w: w.check_model(w.model(config=GPT2), lora={"target_modules": ["c_attn"]}),
        ["features.max_length", "at most 100, the n_positions", "got 128"],
    ),
]

DATA: list[tuple[str, Callable[[World], None], list[str]]] = [
    ("no such pool file", lambda w: w.check(pools=[{"name": "a", "path": "nowhere.jsonl"}]), ["nowhere.jsonl"]),
    ("pool of unknown protocol", lambda w: w.check(pools=[{"name": "a", "path": "nope://a.jsonl"}]), ["nope://a.jsonl"]),
    ("pool of unknown kind", lambda w: w.check_pool(ROW, "new.csv"), ["new.csv"]),
    ("pool that may not be read", without_right_to_read, ["b.jsonl", "Permission denied"]),
    ("pool without rows", lambda w: w.check_pool("\n\n"), ["new.jsonl", "no rows"]),
    ("pool whose first row is not JSON", lambda w: w.check_pool("{\n" + ROW), ["new.jsonl, line 1", "'{'"]),
    ("pool whose first row is no example", lambda w: w.check_pool(BAD + ROW), ["new.jsonl, line 1", "'text'"]),
    ("pool of another shape", lambda w: w.check_pool(ROW, format="alpaca"), ["new.jsonl, line 1", "`instruction`"]),
    (
        "pool of bad rows only",
        lambda w: w.check_pool(BAD * ROWS_TRIED + ROW, on_bad_row="skip"),
        ["new.jsonl", f"first {ROWS_TRIED} rows", "line 1:"],
    ),
    ("pool that is not Parquet", lambda w: w.check_pool(ROW, "new.parquet"), ["new.parquet"]),
    ("no such target file", lambda w: w.check(targets=[{"name": "t", "path": "nowhere.jsonl"}]), ["nowhere.jsonl"]),
    ("target without rows", lambda w: w.check_target(""), ["new.jsonl"]),
    ("target all of which is skipped", lambda w: w.check(targets=[{"name": "t", "path": "t.jsonl", "skip": 3}]), ["t.jsonl", "first 3"]),
    ("no folder of a built-in target", lambda w: w.check(targets=[{"name": "t", "builtin": "mmlu", "data_dir": "nowhere"}]), ["nowhere"]),
    (
        "imported gradients of a pool of several files",
        lambda w: w.check(pools=[{"name": "ab", "path": "[ab].jsonl"}], imported=IMPORTED),
        ["pool ab", "one file", "`imported`", "[ab].jsonl"],
    ),
    (
        "imported gradients of a pool on the hub",
        lambda w: w.check(pools=[{"name": "h", "hub": "owner/data"}], imported=IMPORTED),
        ["pool h"],
    ),
    ("target whose last row is no example", lambda w: w.check_target(ROW * 200 + BAD), ["new.jsonl, line 201", "'text'"]),
]

CHECKPOINTS: list[tuple[str, Callable[[World], None], list[str]]] = [
    ("checkpoint after the last epoch", lambda w: w.check(influence={"checkpoints": [3]}), ["influence.checkpoints", "from 1 to 2", "[3]"]),
    ("no such checkpoint", lambda w: w.check_checkpoints(w.folder / "checkpoint-9"), ["warmup.checkpoints", "checkpoint-9"]),
    ("checkpoint of unknown protocol", lambda w: w.check_checkpoints("nope://c"), ["warmup.checkpoints, nope://c"]),
    ("folder that is no checkpoint", lambda w: w.check_checkpoints(w.tiny_model), ["warmup.checkpoints", "adapter_config.json"]),
    ("no adapter", lambda w: w.check_checkpoints(w.trainers("adapter_model.safetensors")), ["checkpoint-7", "adapter_model.bin"]),
    ("no optimizer", lambda w: w.check_checkpoints(w.trainers("optimizer.pt")), ["checkpoint-7", "optimizer.bin or optimizer.pt"]),
    ("no state of the Trainer", lambda w: w.check_checkpoints(w.trainers("trainer_state.json")), ["checkpoint-7", "trainer_state.json"]),
    ("no moments", lambda w: w.check_checkpoints(w.ours("adam_state.safetensors")), ["checkpoint-8", "adam_state.safetensors"]),
    (
        "record that does not hold",
        lambda w: w.check_checkpoints(w.spoil(w.ours() / "checkpoint.json", "{}")),
        ["checkpoint-8/checkpoint.json"],
    ),
    (
        "adapter's configuration is not JSON",
        lambda w: w.check_checkpoints(w.spoil(w.trainers() / "adapter_config.json", "r: 4")),
        ["checkpoint-7/adapter_config.json", "JSON"],
    ),
    ("adapter of another rank", lambda w: w.check_checkpoints(w.trainers(r=8)), ["checkpoint-7", "r = 4 as in model.lora", "got 8"]),
    ("adapter of another alpha", lambda w: w.check_checkpoints(w.ours(lora_alpha=16)), ["checkpoint-8", "lora_alpha = 8 as", "got 16"]),
    (
        "adapter of other modules, of a second checkpoint",
        lambda w: w.check_checkpoints(w.trainers(), w.ours(target_modules=["q_proj"])),
        ["checkpoint-8", "['o_proj', 'q_proj', 'v_proj'] as in model.lora", "got ['q_proj']"],
    ),
]

WRONG = [*LOADING, *FOLDERS, *MODEL, *DATA, *CHECKPOINTS]


@pytest.mark.parametrize(("spoil", "named"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_wrong_configuration_is_one_error_that_names_it(world: World, spoil: Callable[[World], None], named: list[str]) -> None:
    with pytest.raises(LessError) as caught:
        spoil(world)
    message = str(caught.value)
    where, _, rest = message.partition(": expected ")
    assert where
    assert ", got " in rest
    assert [part for part in named if part not in message] == []
    assert not isinstance(caught.value.__cause__ or caught.value.__context__, LessError)
    assert list(world.folder.rglob(".less-flow-probe*")) == []


def test_good_settings_pass_without_a_warning_and_leave_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    settings = world.make()
    before = sorted(world.folder.rglob("*"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_settings(settings)
    assert sorted(world.folder.rglob("*")) == before
    assert caplog.records == []


def test_store_and_results_that_are_there_stay_as_they_are(world: World) -> None:
    files = [Path(world.touch(name)) for name in ("store/features/f/s.parquet", "runs/test/report.html")]
    before = sorted(world.folder.rglob("*"))
    world.check()
    assert sorted(world.folder.rglob("*")) == before
    assert all(file in before for file in files)


def test_remote_store_and_results_pass_and_get_no_file(world: World) -> None:
    world.check(store="memory://preflight/store", runs="memory://preflight/runs")
    assert fsspec.filesystem("memory").find("/preflight") == []


def test_probe_is_written_and_deleted_in_store_and_results(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("store", "runs/test"):
        (world.folder / name).mkdir(parents=True)
    deleted: list[str] = []
    inner = LocalFileSystem.rm

    def rm(self: LocalFileSystem, path: str, *args: Any, **kwargs: Any) -> None:
        assert Path(path).is_file()
        deleted.append(str(Path(path).parent.relative_to(world.folder)))
        inner(self, path, *args, **kwargs)

    monkeypatch.setattr(LocalFileSystem, "rm", rm)
    world.check()
    assert deleted == ["store", "runs/test"]


def test_checkpoints_of_both_kinds_pass(world: World) -> None:
    world.check_checkpoints(world.trainers(target_modules=["model.layers.0.self_attn.q_proj", "v_proj", "o_proj"]), world.ours())


def test_adapter_whose_modules_are_a_pattern_is_left_to_the_import(world: World) -> None:
    world.check_checkpoints(world.trainers(target_modules=".*_proj"))


def test_positions_that_are_just_enough_pass(world: World) -> None:
    world.check(features={"max_length": 512})


def test_model_on_the_hub_passes_without_its_weights_being_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = world.model("model.safetensors")
    monkeypatch.setattr(loading, "snapshot_download", lambda path, allow_patterns: str(folder))
    world.check_model(Path("owner/model"))


def test_pool_on_the_hub_is_not_touched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.load_dataset", lambda *args, **kwargs: pytest.fail("a hub data set was opened"))
    world.check(pools=[{"name": "h", "hub": "owner/data"}])


def test_target_on_the_hub_is_not_touched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.load_dataset", lambda *args, **kwargs: pytest.fail("a hub data set was opened"))
    world.check(targets=[{"name": "h", "builtin": "mmlu", "hub": "owner/data"}])


@pytest.mark.parametrize(("on_bad_row", "bad", "read"), [("error", 0, 1), ("skip", 0, 1), ("skip", ROWS_TRIED - 1, ROWS_TRIED)])
def test_of_a_pool_no_more_rows_are_read_than_it_takes_to_find_an_example(
    world: World, monkeypatch: pytest.MonkeyPatch, on_bad_row: str, bad: int, read: int
) -> None:
    rows = iter([Row("f", 0, 0, {"text": "no example"})] * bad + [Row("f", 0, 0, conversation(i)) for i in range(200)])
    source = SimpleNamespace(where="f", rows=lambda: rows, place=lambda row: "f")
    monkeypatch.setattr("less_core.preflight.checks.open_pool", lambda settings, name: source)
    world.check(pools=[{"name": "a", "path": "a.jsonl", "on_bad_row": on_bad_row}])
    assert len(list(rows)) == 200 + bad - read


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A disk with 1.2 GB free; the places it was asked about."""
    asked: list[str] = []

    def usage(path: str) -> SimpleNamespace:
        asked.append(str(path))
        return SimpleNamespace(free=1_200_000_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return asked


def test_space_that_suffices_passes(tmp_path: Path, disk: list[str]) -> None:
    check_space(str(tmp_path), 1_200_000_000)
    assert disk == [str(tmp_path)]


def test_space_that_does_not_suffice_is_an_error_with_both_sizes(tmp_path: Path, disk: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"store = .*: expected 12\.30 GB free for the features of this run, got 1\.20 GB\."):
        check_space(str(tmp_path), 12_300_000_000)


def test_space_of_a_store_yet_to_be_made_is_that_of_the_folder_above(tmp_path: Path, disk: list[str]) -> None:
    with pytest.raises(ConfigError):
        check_space(str(tmp_path / "new" / "store"), 1_200_000_001)
    assert disk == [str(tmp_path)]


def test_space_of_a_remote_store_is_not_asked_for(disk: list[str]) -> None:
    check_space("memory://preflight/store", 10**18)
    assert disk == []
