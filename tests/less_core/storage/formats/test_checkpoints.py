"""Checkpoints, there and back; as peft reads them; and that damage is seen."""

from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.model.adapter import adapter_tensors, lora_parameters
from less_core.model.checkpoint import AdamState, Checkpoint
from less_core.model.loading import add_lora
from less_core.model.warmup import adapter_config
from less_core.settings.select import LoraSettings
from less_core.storage.formats.checkpoints import (
    ADAM,
    ADAPTER,
    ADAPTER_CONFIG,
    RECORD,
    checkpoint_fingerprint,
    is_checkpoint,
    read_checkpoint,
    write_checkpoint,
)

FILES = [ADAPTER_CONFIG, ADAPTER, ADAM, RECORD]
CONFIG = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}

OTHER_FILES = b'{"step": 1, "learning_rate": 1, "beta1": 0.9, "beta2": 0.9, "adam_step": 1, "files": {"a": "b"}}'


def small(seed: int = 0, learning_rate: float = 1.25e-5) -> Checkpoint:
    generator = torch.Generator().manual_seed(seed)

    def tensors() -> dict[str, torch.Tensor]:
        return {name: torch.randn(3, 4, generator=generator) for name in ("a.lora_A.weight", "a.lora_B.weight")}

    return Checkpoint(12, learning_rate, CONFIG, tensors(), AdamState(12, 0.9, 0.999, tensors(), tensors()))


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_checkpoint_round_trips(folder: str) -> None:
    written = small()
    write_checkpoint(f"{folder}/c", written)
    read = read_checkpoint(f"{folder}/c")
    assert is_checkpoint(f"{folder}/c")
    assert (read.step, read.learning_rate, read.adapter_config) == (12, 1.25e-5, CONFIG)
    assert (read.adam.step, read.adam.beta1, read.adam.beta2) == (12, 0.9, 0.999)
    assert equal(read.adapter, written.adapter)
    assert equal(read.adam.first_moment, written.adam.first_moment)
    assert equal(read.adam.second_moment, written.adam.second_moment)


def test_checkpoint_fingerprint_is_that_of_the_content(folder: str) -> None:
    made = {"a": small(), "b": small(), "other weights": small(1), "other rate": small(learning_rate=1e-5)}
    for name, checkpoint in made.items():
        write_checkpoint(f"{folder}/{name}", checkpoint)
    addresses = {name: checkpoint_fingerprint(f"{folder}/{name}") for name in made}
    assert addresses["a"] == addresses["b"]
    assert len(set(addresses.values())) == 3


@pytest.mark.parametrize("name", [ADAPTER_CONFIG, ADAPTER, ADAM])
def test_checkpoint_with_a_flipped_byte_is_corrupt(folder: str, name: str) -> None:
    write_checkpoint(f"{folder}/c", small())
    with fsspec.open(f"{folder}/c/{name}", "rb") as file:
        content = bytearray(file.read())
    for place in range(0, len(content), max(1, len(content) // 12)):
        damaged = bytearray(content)
        damaged[place] ^= 0x20
        with fsspec.open(f"{folder}/c/{name}", "wb") as file:
            file.write(bytes(damaged))
        with pytest.raises(CorruptArtifactError, match=name):
            read_checkpoint(f"{folder}/c")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"files": {}}', OTHER_FILES, b"null", b'"text"'])
def test_checkpoint_with_another_record_is_corrupt(folder: str, content: bytes) -> None:
    write_checkpoint(f"{folder}/c", small())
    with fsspec.open(f"{folder}/c/{RECORD}", "wb") as file:
        file.write(content)
    with pytest.raises(CorruptArtifactError, match=RECORD):
        read_checkpoint(f"{folder}/c")


@pytest.mark.parametrize("name", FILES)
def test_checkpoint_with_a_missing_file_names_it(folder: str, name: str) -> None:
    write_checkpoint(f"{folder}/c", small())
    file_system, inner = fsspec.core.url_to_fs(f"{folder}/c/{name}")
    file_system.rm(inner)
    with pytest.raises(MissingArtifactError, match=f"{name}: expected a file that the warmup leaves"):
        read_checkpoint(f"{folder}/c")
    assert is_checkpoint(f"{folder}/c") == (name != RECORD)


def test_checkpoint_record_comes_last(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: str, value: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("less_core.storage.formats.checkpoints.write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(f"{folder}/c", small())
    assert not is_checkpoint(f"{folder}/c")


@pytest.mark.parametrize(("base", "modules"), [("grouped-query", ["q_proj", "v_proj"]), ("gpt2", ["c_attn", "c_proj"])])
def test_checkpoint_is_an_adapter_that_peft_reads(
    base_models: dict[str, Callable[[], PreTrainedModel]], tmp_path: Path, base: str, modules: list[str]
) -> None:
    model = add_lora(base_models[base](), LoraSettings(rank=4, alpha=8, dropout=0.0, target_modules=modules)).eval()
    torch.manual_seed(1)
    for parameter in lora_parameters(model).values():
        parameter.data.normal_(std=0.1)
    adapter = adapter_tensors(model)
    write_checkpoint(str(tmp_path), Checkpoint(1, 0.1, adapter_config(model), adapter, AdamState(1, 0.9, 0.999, adapter, {})))
    again = PeftModel.from_pretrained(base_models[base](), tmp_path).eval()
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        ours, theirs, bare = model(ids).logits, again(ids).logits, base_models[base]()(ids).logits
    assert torch.equal(ours, theirs)
    assert not torch.allclose(ours, bare, atol=1e-3)
