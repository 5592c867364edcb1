"""Trained models, there and back, whole or none; as transformers and peft read them."""

from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import torch
from transformers import PreTrainedModel

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.whole import list_files, write_whole
from less_core.model.adapter import randomise_adapter
from less_core.model.loading import add_lora, load_trained
from less_core.settings.select import LoraSettings
from less_core.storage.formats import trainings as module
from less_core.storage.formats.trainings import RECORD, is_training, keep_training, local_folder, read_training

FILES = {"adapter_config.json": b'{"r": 4}', "adapter_model.safetensors": bytes(range(256)) * 50, "README.md": b""}
WRITTEN = {"examples": 7, "seed": 3, "base": "m", "settings": {"kind": "lora", "learning_rate": 2e-5}}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A local folder as a library leaves it, with a folder in it that is not the model's."""
    folder = tmp_path / "made"
    (folder / "runs").mkdir(parents=True)
    (folder / "runs" / "events").write_bytes(b"log")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("piece", [1 << 24, 100])
def test_training_round_trips_file_by_file(folder: str, made: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(module, "PIECE", piece)
    assert not is_training(f"{folder}/t")
    keep_training(f"{folder}/t", made, WRITTEN)
    assert is_training(f"{folder}/t")
    record = read_training(f"{folder}/t")
    assert record.pop("files").keys() == FILES.keys()
    assert record == WRITTEN
    with local_folder(f"{folder}/t") as local:
        found = {path.name: path.read_bytes() for path in local.iterdir() if path.name != RECORD}
    assert found == FILES


def test_training_in_a_local_store_is_used_where_it_stands_and_one_in_a_remote_store_as_a_copy_that_goes(folder: str, made: Path) -> None:
    keep_training(f"{folder}/t", made, WRITTEN)
    with local_folder(f"{folder}/t") as local:
        (local / "mine").write_bytes(b"x")
    assert local.exists() == ("://" not in folder)
    assert list_files(f"{folder}/t", "mine") == ([] if "://" in folder else [f"{local}/mine"])
    assert is_training(f"{folder}/t")


def test_training_without_its_record_is_none(folder: str, made: Path) -> None:
    keep_training(f"{folder}/t", made, WRITTEN)
    file_system, inner = fsspec.core.url_to_fs(f"{folder}/t/{RECORD}")
    file_system.rm(inner)
    assert not is_training(f"{folder}/t")
    with pytest.raises(MissingArtifactError, match=rf"{RECORD}: expected a file that the training leaves, got nothing there"):
        read_training(f"{folder}/t")


@pytest.mark.parametrize("kept", range(len(FILES) + 1))
def test_training_stopped_while_it_is_kept_is_none_and_leaves_no_half_file(
    folder: str, made: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Stopped in the file after so many, of which the record is the last."""
    written: list[str] = []

    def stop(path: str, *arguments: object) -> object:
        if len(written) == kept:
            raise KeyboardInterrupt
        written.append(path)
        return write_whole(path)

    monkeypatch.setattr(module, "write_whole", stop)
    monkeypatch.setattr(module, "write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        keep_training(f"{folder}/t", made, WRITTEN)
    assert not is_training(f"{folder}/t")
    assert list_files(f"{folder}/t", "") == written == [f"{folder}/t/{name}" for name in sorted(FILES)[:kept]]


def test_training_that_was_stopped_is_kept_whole_the_next_time(folder: str, made: Path) -> None:
    with write_whole(f"{folder}/t/README.md") as file:
        file.write(b"of a training before")
    keep_training(f"{folder}/t", made, WRITTEN)
    with local_folder(f"{folder}/t") as local:
        assert (local / "README.md").read_bytes() == b""


@pytest.mark.parametrize("content", [b"", b"{", b'{"examples": 7} x', b"\xff\xfe{}"])
def test_training_with_a_torn_record_is_corrupt(folder: str, made: Path, content: bytes) -> None:
    keep_training(f"{folder}/t", made, WRITTEN)
    with fsspec.open(f"{folder}/t/{RECORD}", "wb") as file:
        file.write(content)
    with pytest.raises(CorruptArtifactError, match=RECORD):
        read_training(f"{folder}/t")


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_training_is_the_model_that_its_library_reads(
    folder: str, tiny_model: Path, base_models: dict[str, Callable[[], PreTrainedModel]], tmp_path: Path, kind: str
) -> None:
    model = base_models["grouped-query"]()
    if kind == "lora":
        model = add_lora(model, LoraSettings(rank=4, alpha=64, target_modules=["q_proj", "v_proj"])).eval()
        randomise_adapter(model, seed=1)
    else:
        with torch.no_grad():
            model.get_input_embeddings().weight.mul_(2)
    model.save_pretrained(tmp_path / "model")
    keep_training(f"{folder}/t", tmp_path / "model", WRITTEN)
    with local_folder(f"{folder}/t") as local:
        again = load_trained(local, tiny_model, torch.float32, torch.device("cpu"))
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        ours, theirs, bare = model(ids).logits, again(ids).logits, base_models["grouped-query"]()(ids).logits
    assert torch.equal(ours, theirs)
    assert not torch.allclose(ours, bare, atol=1e-3)
    assert not [name for name, part in again.named_modules() if part.training]
