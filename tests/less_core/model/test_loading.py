"""Loading: what a model's configuration alone tells, and what is fetched from the hub."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch

from less_core.errors import ConfigError
from less_core.model import loading
from less_core.model.loading import check_target_modules, count_parameters, load_base_model, model_folder, outline_model, pick_device
from less_core.settings.select import LoraSettings


def test_outline_has_every_module_and_shape_of_the_model_and_no_weights(tiny_model: Path) -> None:
    model = load_base_model(tiny_model, torch.float32, pick_device("cpu"))
    outline = outline_model(tiny_model)
    assert {n: p.shape for n, p in outline.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}
    assert all(parameter.is_meta for parameter in outline.parameters())
    assert count_parameters(tiny_model) == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("kind", "linear"),
    [
        ("llama", ["down_proj", "gate_proj", "k_proj", "lm_head", "o_proj", "q_proj", "up_proj", "v_proj"]),
        ("gpt2", ["c_attn", "c_fc", "c_proj", "lm_head"]),
    ],
)
def test_target_modules_may_be_every_linear_layer_and_nothing_else(base_models, kind: str, linear: list[str]) -> None:
    model = base_models[kind]()
    check_target_modules(model, LoraSettings(target_modules=linear))
    for name, module in model.named_modules():
        if (last := name.rpartition(".")[2]) not in linear and list(module.parameters(recurse=False)):
            with pytest.raises(ConfigError, match=rf"some of .*{linear[0]}.*, got \['{last}'\]"):
                check_target_modules(model, LoraSettings(target_modules=[linear[0], last]))


@pytest.mark.parametrize("weights", [True, False])
def test_weights_are_fetched_from_the_hub_only_where_they_are_needed(tiny_model: Path, monkeypatch, weights: bool) -> None:
    fetched: list[str] = []

    def download(path: str, allow_patterns: list[str]) -> str:
        files: list[Any] = [file.name for file in tiny_model.iterdir()]
        fetched.extend(name for name in files if any(fnmatch(name, pattern) for pattern in allow_patterns))
        return str(tiny_model)

    monkeypatch.setattr(loading, "snapshot_download", download)
    assert model_folder("owner/model", weights=weights) == tiny_model
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} < set(fetched)
    assert ("model.safetensors" in fetched) is weights


def test_hub_model_without_its_weights_is_taken_only_where_they_are_not_needed(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "config.json").touch()
    monkeypatch.setattr(loading, "snapshot_download", lambda path, allow_patterns: str(tmp_path))
    assert model_folder("owner/model", weights=False) == tmp_path
    with pytest.raises(ConfigError, match=r"config\.json and \*\.safetensors"):
        model_folder("owner/model")


def test_local_model_without_weights_is_refused_even_where_they_are_not_needed(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(ConfigError, match=r"config\.json and \*\.safetensors"):
        model_folder(str(tmp_path), weights=False)
