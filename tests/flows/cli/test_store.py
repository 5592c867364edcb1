"""`less-flow store`: what it prints, what it changes and what not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.cli.main import main
from less_core.settings.select import SelectSettings
from less_core.storage.layout import run_of


@pytest.fixture
def settings(make_settings: Callable[..., SelectSettings], run_stages: Callable[..., Any]) -> SelectSettings:
    made = make_settings()
    run_stages(made)
    return made


def files(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_verify_exits_with_0_where_all_is_whole_and_with_1_where_not(settings: SelectSettings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "verify", "--store", settings.store]) == 0
    assert "0 damaged" in capsys.readouterr().out
    shard = next(Path(settings.store).glob("features/*/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-7])
    before = files(settings.store)
    assert main(["store", "verify", "--store", settings.store]) == 1
    said = capsys.readouterr().out
    assert f"damaged: {shard}: expected" in said
    assert "1 damaged; --set-aside" in said
    assert files(settings.store) == before
    assert main(["store", "verify", "--store", settings.store, "--set-aside"]) == 1
    assert f"set aside: {shard}.corrupt" in capsys.readouterr().out
    assert main(["store", "verify", "--store", settings.store]) == 0


def test_verify_reads_results_too(settings: SelectSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    selected = run_of(settings).published.selected("t")
    Path(selected).write_bytes(Path(selected).read_bytes().replace(b"a", b"b", 1))
    assert main(["store", "verify", "--store", settings.store]) == 0  # no folder `runs` here
    assert main(["store", "verify", "--store", settings.store, "--runs", settings.runs]) == 1
    assert "selected/t.jsonl: expected content" in capsys.readouterr().out
    monkeypatch.chdir(Path(settings.runs).parent)
    assert main(["store", "verify", "--store", settings.store]) == 1


def test_gc_deletes_only_when_told_to(settings: SelectSettings, capsys: pytest.CaptureFixture[str]) -> None:
    half = Path(settings.store) / "features" / ".x.parquet.0f.tmp"
    half.write_bytes(b"half")
    command = ["store", "gc", "--store", settings.store, "--runs", settings.runs, "--older-than", "0"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"temporary files: {half}, 4 B" in said
    assert "1 thing that --delete deletes" in said
    assert half.exists()
    assert main([*command, "--delete"]) == 0
    assert "1 thing deleted" in capsys.readouterr().out
    assert not half.exists()
    assert main(["store", "verify", "--store", settings.store]) == 0


def test_gc_leaves_what_is_younger_than_a_week(settings: SelectSettings, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(settings.store) / "features" / ".x.parquet.0f.tmp").write_bytes(b"half")
    assert main(["store", "gc", "--store", settings.store, "--runs", settings.runs]) == 0
    assert "0 things" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [["verify", "--store", "none"], ["gc", "--store", "none"], *([c, "--store", ".", "--runs", "none"] for c in ("verify", "gc"))],
)
def test_store_or_results_that_are_not_there_are_an_error(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["store", *command, *(["--delete"] if command[0] == "gc" else [])]) == 2
    assert "nothing at none" in capsys.readouterr().err
