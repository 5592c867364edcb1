"""What stands in data and settings never becomes a path that leads elsewhere."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import conversation, write_jsonl

from less_core.errors import ConfigError
from less_core.settings.select import SelectSettings

HOSTILE = [
    "../../escaped",
    "/escaped",
    "a/../../escaped",
    "..",
    ".",
    "~/escaped",
    "a\0b",
    "C:\\escaped",
    "a\nb",
    "$(touch escaped)",
    "x" * 300,
]
NAMES = re.compile(r"[A-Za-z0-9._-]+")


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_names_in_rows_make_no_files_of_their_own(
    make_settings: Callable[..., SelectSettings], run_stages: Callable[..., Any], tmp_path: Path
) -> None:
    """Subtasks, sources, ids and data set names that read like paths."""
    odd = [{"subtask": name, "source": name, "dataset": name, "id": name, "file": name, "pool": name} for name in HOSTILE]
    write_jsonl(tmp_path / "t.jsonl", [conversation(1000 + i) | row for i, row in enumerate(odd)])
    write_jsonl(tmp_path / "a.jsonl", [conversation(i) | row for i, row in enumerate(odd * 3)])
    settings = make_settings(influence={"scoring": "exact"})
    before = files(tmp_path)
    result = run_stages(settings)
    made = files(tmp_path) - before
    inside = (Path(settings.store), Path(settings.runs))
    assert all(any(path.is_relative_to(folder) for folder in inside) for path in made)
    assert all(NAMES.fullmatch(part) for path in made for part in path.relative_to(tmp_path).parts)
    assert len(result.selected()) == 5


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("where", ["name", "pool", "target"])
def test_name_in_settings_that_is_no_plain_name_is_refused(make_settings: Callable[..., SelectSettings], name: str, where: str) -> None:
    sections: dict[str, Any] = {
        "name": {"name": name},
        "pool": {"pools": [{"name": name, "path": "a.jsonl"}]},
        "target": {"targets": [{"name": name, "path": "t.jsonl"}]},
    }
    with pytest.raises(ConfigError, match="name"):
        make_settings(**sections[where])


@pytest.mark.slow
def test_selection_named_like_a_path_is_refused_by_every_command_that_reads_one(tmp_path: Path) -> None:
    from flows.cli.main import main

    (tmp_path / "runs").mkdir()
    for name in ("../../etc", "/etc/passwd", "a/../../b"):
        for command in (["explain", name, "0a"], ["export", name, str(tmp_path / "out")], ["agree", name, name]):
            assert main([*command, "--runs", str(tmp_path / "runs")]) == 2
    assert not (tmp_path / "out").exists()
