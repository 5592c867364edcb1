"""Python that stands beside a model is not imported: a model that needs it is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from less_core.model.loading import load_base_model, load_tokenizer, outline_model
from less_core.preflight.model import inspect_model
from less_core.settings.select import SelectSettings


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "code ran"


@pytest.fixture
def hostile_model(tiny_model: Path, tmp_path: Path, marker: Path) -> Path:
    """A model whose configuration names classes of its own, for all that transformers can load."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    code = f"import os\nos.mkdir({str(marker)!r})\nclass Evil:\n    pass\n"
    (folder / "evil.py").write_text(code)
    auto = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM"), "evil.Evil")
    for name, change in (
        ("config.json", {"model_type": "evil", "auto_map": auto}),
        ("tokenizer_config.json", {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}),
    ):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return folder


def test_hostile_model_does_run_code_where_nobody_protects(hostile_model: Path, marker: Path) -> None:
    from transformers import AutoConfig

    with pytest.raises(Exception):  # noqa: B017, PT011 - Evil is no configuration, but by then its code has run
        AutoConfig.from_pretrained(hostile_model, trust_remote_code=True)
    assert marker.exists()


def test_code_of_a_model_is_not_run(hostile_model: Path, marker: Path, make_settings: Callable[..., SelectSettings]) -> None:
    import torch

    settings = make_settings(model={"path": str(hostile_model)})
    for load in (
        lambda: inspect_model(settings),
        lambda: outline_model(hostile_model),
        lambda: load_base_model(hostile_model, torch.float32, torch.device("cpu")),
        lambda: load_tokenizer(hostile_model),
    ):
        try:
            load()
        except Exception as error:
            print(f"refused: {type(error).__name__}")
    assert not marker.exists()
