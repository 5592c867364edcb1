"""What no version needs is found and nothing else; what is deleted is not missed."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import assert_same, conversation, write_jsonl

from less_core.errors import LessError
from less_core.files.whole import write_json
from less_core.settings.select import SelectSettings
from less_core.storage.formats.trainings import keep_training
from less_core.storage.layout import ComparisonFiles, run_of, store_of
from less_core.storage.upkeep.garbage import Garbage, delete, find_garbage

pytestmark = pytest.mark.slow

LATER = time.time() + 30 * 86400  # all that tests make is a month old by then


@pytest.fixture
def made(make_settings: Callable[..., SelectSettings], run_stages: Callable[..., Any]) -> Any:
    return run_stages(make_settings(influence={"scoring": "exact"}))


def garbage(settings: SelectSettings, *, older_than: float = 7, keep_versions: int = 0, now: float = LATER) -> list[Garbage]:
    return find_garbage(store_of(settings), [settings.runs], older_than=older_than, keep_versions=keep_versions, now=now)


def files(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_store_of_one_version_has_no_garbage_whatever_its_age(made: Any) -> None:
    assert garbage(made.settings) == []


def test_finding_changes_nothing(made: Any) -> None:
    (Path(made.settings.store) / "features" / ".x.parquet.0f.tmp").write_bytes(b"half")
    before = files(made.settings.store)
    assert garbage(made.settings)
    assert files(made.settings.store) == before


@pytest.mark.parametrize("scoring", ["store", "exact", "rerank"])
def test_shards_that_only_an_old_version_needs_go_with_it_and_the_rest_stays(
    make_settings: Callable[..., SelectSettings], run_stages: Callable[..., Any], tmp_path: Path, scoring: str
) -> None:
    settings = make_settings(influence={"scoring": scoring})
    first = run_stages(settings)
    write_jsonl(tmp_path / "b.jsonl", [conversation(i) for i in range(200, 220)])
    second = run_stages(settings)
    assert garbage(settings) == []  # both versions stay
    found = garbage(settings, keep_versions=1)
    assert [g.path for g in found if g.kind == "old versions"] == [first.version.root]
    assert {"features", "warmups"} <= {g.kind for g in found}
    before = files(settings.store)
    delete(found)
    assert not any(Path(g.path).exists() for g in found)
    assert files(settings.store).items() <= before.items()
    assert garbage(settings, keep_versions=1) == []
    again = run_stages(settings)
    assert_same(second, again, 0)
    assert all(shard.computed == 0 for shard in again.pool_shards)  # nothing of what the version needs was lost


def test_published_version_stays_though_it_is_not_among_the_newest(made: Any, run_stages: Callable[..., Any]) -> None:
    run = run_of(made.settings)
    run_stages(made.settings)
    Path(run.current).unlink()
    Path(run.current).symlink_to(f"versions/{made.version.name}")
    assert garbage(made.settings, keep_versions=1) == []


def test_what_another_folder_of_results_needs_stays_when_it_is_named(made: Any, run_stages: Callable[..., Any], tmp_path: Path) -> None:
    other = made.settings.model_copy(update={"runs": str(tmp_path / "others")})
    run_stages(other)
    delete([Garbage(made.settings.runs, "results", 0)])
    store, now = store_of(made.settings), LATER
    assert find_garbage(store, [other.runs], older_than=7, now=now) == []
    assert find_garbage(store, [], older_than=7, now=now)


def test_store_that_was_written_down_under_another_path_is_the_same_store(made: Any, tmp_path: Path) -> None:
    moved = Path(made.settings.store).rename(tmp_path / "elsewhere")
    settings = made.settings.model_copy(update={"store": str(moved)})
    assert garbage(settings) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("features/.a.parquet.0f.tmp", "temporary files"),
        ("features/.a.parquet.lock", "locks"),
        ("features/0a/b.parquet.corrupt", "files set aside"),
        ("features/0a/b.parquet", "features"),
        ("influence/0a/0b/c.parquet", "influence"),
        ("examples/0a/b.parquet", "examples"),
        ("warmups/0a/trainer/checkpoint-3/model.bin", "warmups"),
        ("trainings/0a/model.bin", "trainings"),
    ],
)
def test_leftovers_are_found_once_they_are_old_and_deleted_with_empty_folders(made: Any, name: str, kind: str) -> None:
    path = Path(made.settings.store) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    assert garbage(made.settings, now=time.time()) == []
    (found,) = garbage(made.settings)
    assert (found.kind, found.size) == (kind, 5)
    before = files(made.settings.store)
    delete([found])
    assert files(made.settings.store) == {other: content for other, content in before.items() if other != str(path)}
    assert path.parent.exists() == (path.parent.name == "features")


def test_what_others_put_into_the_store_stays(made: Any) -> None:
    (Path(made.settings.store) / "README.txt").write_text("mine")
    (Path(made.settings.store) / "features" / "odd.parquet").write_text("mine")
    assert garbage(made.settings) == []


def test_unfinished_version_goes_once_it_is_old_and_keeps_its_shards_until_then(made: Any) -> None:
    Path(made.version.record).unlink()
    young = garbage(made.settings, now=time.time() + 86400)
    assert young == []
    old = garbage(made.settings)
    assert [g.path for g in old if g.kind == "unfinished versions"] == [made.version.root]
    assert {"features", "influence", "warmups", "examples"} <= {g.kind for g in old}


def test_half_made_link_of_a_killed_process_goes_and_not_what_it_leads_to(made: Any) -> None:
    link = Path(run_of(made.settings).root) / "selected.0f0f.tmp"
    link.symlink_to("current/selected")
    assert garbage(made.settings, now=time.time()) == []
    os.utime(link, (0, 0), follow_symlinks=False)
    found = garbage(made.settings)
    assert [g.path for g in found] == [str(link)]
    before = files(made.settings.runs)
    delete(found)
    assert not link.is_symlink()
    assert files(made.settings.runs) == before


def test_model_that_a_comparison_trained_stays_and_one_of_none_goes(made: Any, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model.safetensors").write_bytes(b"weights")
    for name in ("0a", "0b"):
        keep_training(f"{made.settings.store}/trainings/{name}", tmp_path / "made", {})
    write_json(ComparisonFiles(f"{made.settings.runs}/compared").record, {"outcomes": [{"training": "0a"}]})
    assert [g.path for g in garbage(made.settings)] == [f"{made.settings.store}/trainings/0b"]


@pytest.mark.parametrize("name", ["index/pool_features.json", "basis.json", "index/pool.parquet"])
def test_version_that_cannot_be_read_stops_the_search(made: Any, name: str) -> None:
    path = Path(made.version.root) / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(LessError, match=path.name):
        garbage(made.settings)
