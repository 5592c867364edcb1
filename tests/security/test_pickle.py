"""No file that is given to this project, or stands in its store, runs code by being read."""

import contextlib
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from samples import encoded_examples, write_jsonl

from less_core.errors import LessError
from less_core.model.foreign_checkpoints import import_checkpoint
from less_core.model.loading import add_lora, load_base_model
from less_core.model.training import Recipe, train
from less_core.settings.select import LoraSettings, SelectSettings
from less_core.storage.formats.checkpoints import read_checkpoint
from less_core.storage.formats.less_scripts import read_gradients

LORA = LoraSettings(rank=2, alpha=4, target_modules=["q_proj", "v_proj"])


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.marker,)


def plain(path: Path, marker: Path) -> None:
    path.write_bytes(pickle.dumps({"state": {}, "x": Hostile(marker)}))


def zipped(path: Path, marker: Path) -> None:
    torch.save({"state": {}, "x": Hostile(marker)}, path)


def appended(path: Path, marker: Path) -> None:
    """A file of tensors whose index is pickled code."""
    torch.save(torch.zeros(2, 4), path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, pickle.dumps(Hostile(marker)) if name.endswith("data.pkl") else data)


WRITERS = pytest.mark.parametrize("write", [plain, zipped, appended])


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What is there once hostile code has run."""
    return tmp_path / "code ran"


@WRITERS
def test_files_of_these_tests_do_run_code_where_nobody_protects(tmp_path: Path, marker: Path, write: Callable[[Path, Path], None]) -> None:
    write(tmp_path / "file", marker)
    with contextlib.suppress(RuntimeError):  # it is no checkpoint, which is seen once the code has run
        torch.load(tmp_path / "file", weights_only=False)
    assert marker.exists()


@WRITERS
@pytest.mark.parametrize("name", ["optimizer.bin", "optimizer.pt", "adapter_model.bin"])
def test_checkpoint_of_another_tool(base_models: Any, tmp_path: Path, marker: Path, name: str, write: Callable[[Path, Path], None]) -> None:
    model = add_lora(base_models["llama"](), LORA)
    folder = tmp_path / "checkpoint-3"
    model.save_pretrained(folder)
    (folder / "trainer_state.json").write_text('{"global_step": 3, "log_history": [{"step": 3, "learning_rate": 0.1}]}')
    if name == "adapter_model.bin":
        (folder / "adapter_model.safetensors").unlink()
    write(folder / name, marker)
    with pytest.raises(LessError, match=name):
        import_checkpoint(folder, model, after_step=0)
    assert not marker.exists()


@WRITERS
@pytest.mark.parametrize("name", ["all_orig.pt", "grads-160.pt"])
def test_gradients_of_the_less_scripts(tmp_path: Path, marker: Path, name: str, write: Callable[[Path, Path], None]) -> None:
    write(tmp_path / name, marker)
    with pytest.raises(LessError, match=name):
        read_gradients(str(tmp_path))
    assert not marker.exists()


@WRITERS
def test_weights_of_a_base_model(tiny_model: Path, tmp_path: Path, marker: Path, write: Callable[[Path, Path], None]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_model.iterdir():
        if path.suffix != ".safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    write(folder / "pytorch_model.bin", marker)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever transformers raises
        load_base_model(folder, torch.float32, torch.device("cpu"))
    assert not marker.exists()


@WRITERS
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_state_of_a_training_that_was_stopped(
    base_models: Any, tmp_path: Path, marker: Path, name: str, write: Callable[[Path, Path], None]
) -> None:
    """The Trainer's folder stands in the store, which others may write to."""
    recipe = Recipe(epochs=2, learning_rate=1e-3, batch_size=4, micro_batch_size=4, seed=0)
    work = tmp_path / "trainer"

    class Enough(Exception):
        pass

    def stop(examples: int) -> None:
        if list(work.glob("checkpoint-*/trainer_state.json")):
            raise Enough

    with pytest.raises(Enough):
        train(add_lora(base_models["llama"](), LORA), encoded_examples(), recipe, work, stop)
    (state,) = work.glob(f"checkpoint-*/{name}")
    write(state, marker)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the Trainer raises
        train(add_lora(base_models["llama"](), LORA), encoded_examples(), recipe, work, lambda examples: None)
    assert not marker.exists()


@pytest.mark.slow
@WRITERS
@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adam_state.safetensors", "adapter_config.json", "checkpoint.json"])
def test_checkpoint_of_this_project(
    make_settings: Callable[..., SelectSettings],
    run_stages: Callable[..., Any],
    marker: Path,
    name: str,
    write: Callable[[Path, Path], None],
) -> None:
    settings = make_settings()
    run_stages(settings)
    folder = sorted(Path(settings.store).glob("warmups/*/checkpoint-*"))[0]
    write(folder / name, marker)
    with pytest.raises(LessError, match=name):
        read_checkpoint(str(folder))
    run_stages(settings)  # sets it aside, and trains again
    assert not marker.exists()


@pytest.mark.slow
@WRITERS
@pytest.mark.parametrize("kind", ["examples/*/*.parquet", "features/*/*.parquet", "influence/*/*/*.parquet"])
def test_shards_of_the_store(
    make_settings: Callable[..., SelectSettings],
    run_stages: Callable[..., Any],
    marker: Path,
    kind: str,
    write: Callable[[Path, Path], None],
) -> None:
    settings = make_settings(influence={"scoring": "exact"})
    run_stages(settings)
    write(sorted(Path(settings.store).glob(kind))[0], marker)
    run_stages(settings)
    assert not marker.exists()


def test_code_beside_a_pool_is_not_run(
    make_settings: Callable[..., SelectSettings], run_stages: Callable[..., Any], tmp_path: Path, marker: Path
) -> None:
    """A folder that is also a data set of the hub's kind, with a script that would load it."""
    settings = make_settings(pools=[{"name": "a", "path": "mix"}])
    write_jsonl(tmp_path / "mix" / "part.jsonl", [{"prompt": f"one {i}", "completion": "two"} for i in range(12)])
    (tmp_path / "mix" / "mix.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    run_stages(settings)
    assert not marker.exists()
