"""Checkpoints of the Hugging Face Trainer and of the LESS scripts; files that would run code."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from trainings import LORA, to_less, train

from less_core.errors import ConfigError
from less_core.model.adapter import lora_parameters
from less_core.model.foreign_checkpoints import import_checkpoint
from less_core.model.loading import add_lora


@pytest.fixture
def trained(base_models, tmp_path) -> tuple[PeftModel, Path]:
    """A model that the Trainer trained for two epochs, and the folder of its last checkpoint."""
    model = add_lora(base_models["llama"](), LORA)
    return model, train(model, tmp_path / "out")


@pytest.mark.parametrize("kind", ["trainer", "less"])
def test_import_takes_weights_moments_and_rates(trained, kind: str) -> None:
    model, folder = trained
    expected = {name: p.detach().clone() for name, p in lora_parameters(model).items()}
    moments = list(torch.load(folder / "optimizer.pt", weights_only=True)["state"].values())
    rates = {
        e["step"]: e["learning_rate"]
        for e in json.loads((folder / "trainer_state.json").read_text())["log_history"]
        if "learning_rate" in e
    }
    if kind == "less":
        to_less(folder, model)
    checkpoint = import_checkpoint(folder, model, after_step=2)
    assert checkpoint.step == 4
    assert checkpoint.learning_rate == pytest.approx((rates[3] + rates[4]) / 2)
    assert (checkpoint.adam.beta1, checkpoint.adam.beta2) == (0.9, 0.999)
    for (name, tensor), moment in zip(expected.items(), moments, strict=True):
        assert torch.equal(checkpoint.adapter[name], tensor)
        assert torch.equal(checkpoint.adam.first_moment[name], moment["exp_avg"])
        assert torch.equal(checkpoint.adam.second_moment[name], moment["exp_avg_sq"])


@pytest.mark.parametrize("kind", ["trainer", "less"])
def test_import_names_the_parameter_that_does_not_match(trained, kind: str) -> None:
    model, folder = trained
    if kind == "less":
        to_less(folder, model)
        state = torch.load(folder / "optimizer.bin", weights_only=True)
        lost = next(iter(state["state"]))
        del state["state"][lost]
        torch.save(state, folder / "optimizer.bin")
    else:
        state = torch.load(folder / "optimizer.pt", weights_only=True)
        state["state"][0]["exp_avg"] = torch.zeros(3, 3)
        torch.save(state, folder / "optimizer.pt")
        lost = next(name for name, p in model.named_parameters() if p.requires_grad)
    with pytest.raises(ConfigError, match=lost.replace(".default", "").replace(".", r"\.")):
        import_checkpoint(folder, model, after_step=0)


@pytest.mark.parametrize("missing", ["optimizer.pt", "trainer_state.json", "adapter_model.safetensors", "adapter_config.json"])
def test_import_names_the_file_that_is_missing(trained, missing: str) -> None:
    model, folder = trained
    (folder / missing).unlink()
    with pytest.raises(ConfigError, match=missing.partition(".")[0]):
        import_checkpoint(folder, model, after_step=0)


def test_import_refuses_an_adapter_of_another_rank(trained, base_models) -> None:
    _, folder = trained
    other = add_lora(base_models["llama"](), LORA.model_copy(update={"rank": 3}))
    with pytest.raises(ConfigError, match=r"r = 3 as in model\.lora, got 2"):
        import_checkpoint(folder, other, after_step=0)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("name", ["optimizer.pt", "optimizer.bin", "adapter_model.bin"])
def test_import_never_runs_what_a_file_carries(trained, tmp_path, name: str) -> None:
    model, folder = trained
    if name == "adapter_model.bin":
        (folder / "adapter_model.safetensors").unlink()
    torch.save({"state": Bomb(tmp_path / "ran")}, folder / name, pickle_protocol=pickle.DEFAULT_PROTOCOL)
    with pytest.raises(ConfigError, match="plain tensors"):
        import_checkpoint(folder, model, after_step=0)
    assert not (tmp_path / "ran").exists()
