"""The first look at a run's settings."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from less_core.errors import ConfigError, DataError
from less_core.preflight.first_look import check_paths
from less_core.settings.select import SelectSettings


def test_paths_that_are_there_pass(make_settings: Callable[..., SelectSettings]) -> None:
    check_paths(make_settings())


@pytest.mark.parametrize(
    ("sections", "kind", "where"),
    [
        ({"pools": [{"name": "a", "path": "nowhere.jsonl"}]}, DataError, "nowhere.jsonl"),
        ({"pools": [{"name": "a", "path": "nowhere/*.jsonl"}]}, DataError, "nowhere"),
        ({"targets": [{"name": "t", "path": "nowhere.jsonl"}]}, DataError, "nowhere.jsonl"),
        ({"targets": [{"name": "t", "builtin": "mmlu", "data_dir": "nowhere"}]}, DataError, "nowhere"),
        ({"model": {"path": "./nowhere"}}, ConfigError, "model.path"),
        ({"warmup": {"checkpoints": ["nowhere/checkpoint-1"]}}, ConfigError, "warmup.checkpoints"),
    ],
)
def test_path_that_is_not_there_is_refused_with_where_it_was_looked_for(
    make_settings: Callable[..., SelectSettings], sections: dict, kind: type[Exception], where: str
) -> None:
    with pytest.raises(kind) as refused:
        check_paths(make_settings(**sections))
    assert where in str(refused.value)
    assert "Check" in str(refused.value)


def test_relative_path_is_refused_with_the_whole_one(
    make_settings: Callable[..., SelectSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=str(tmp_path / "nowhere.jsonl")):
        check_paths(make_settings(data_dir=".", pools=[{"name": "a", "path": "nowhere.jsonl"}]))


def test_first_look_needs_no_heavy_library() -> None:
    heavy = ("torch", "transformers", "peft", "datasets", "pyarrow")
    code = f"import sys, flows.run.first_look, flows.select_data, flows.reselect; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
