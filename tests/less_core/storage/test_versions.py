"""Versions of a selection: whole or not seen, the newest under the run's own names, old ones kept."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from less_core.errors import ConfigError
from less_core.files.whole import list_files, read_bytes, write_whole
from less_core.storage import versions
from less_core.storage.layout import Run, Version
from less_core.storage.versions import current_version, list_versions, new_version, publish


def make(run: Run, content: str, *, targets: tuple[str, ...] = ("t",), whole: bool = True) -> Version:
    version = new_version(run)
    paths = [path for target in targets for path in (version.selected(target), version.scores(target))]
    for path in [*paths, version.report, *([version.record] if whole else [])]:
        with write_whole(path) as file:
            file.write(content.encode())
    return version


def published(run: Run, target: str = "t") -> str:
    return read_bytes(run.published.selected(target), made_by="a test").decode()


def test_newest_version_is_found_under_the_runs_own_names_and_old_ones_are_kept(folder: str) -> None:
    run = Run(f"{folder}/run")
    assert current_version(run) is None
    first = make(run, "first")
    publish(run, first)
    second = make(run, "second")
    assert (published(run), current_version(run)) == ("first", first)  # written is not yet published
    publish(run, second)
    assert (published(run), current_version(run)) == ("second", second)
    assert read_bytes(first.selected("t"), made_by="a test") == b"first"
    assert sorted(list_versions(run), key=lambda v: v.name) == sorted([first, second], key=lambda v: v.name)


def test_version_without_its_record_is_not_one(folder: str) -> None:
    run = Run(f"{folder}/run")
    make(run, "half", whole=False)
    assert list_versions(run) == []
    assert current_version(run) is None


def test_target_that_is_gone_is_gone_from_the_runs_names(folder: str) -> None:
    run = Run(f"{folder}/run")
    publish(run, make(run, "both", targets=("t", "u")))
    publish(run, make(run, "one"))
    assert [path.rpartition("/")[2] for path in list_files(f"{run.root}/selected", ".jsonl")] == ["t.jsonl"]


def test_publishing_leaves_no_temporary_file(tmp_path: Path) -> None:
    run = Run(f"{tmp_path}/run")
    for content in "abc":
        publish(run, make(run, content))
    assert not list(tmp_path.rglob("*.tmp"))


def test_reader_never_finds_a_name_missing_nor_files_of_two_versions(tmp_path: Path) -> None:
    run = Run(f"{tmp_path}/run")
    publish(run, make(run, "0"))
    ended = threading.Event()
    seen: list[tuple[str, str]] = []

    def read() -> None:
        while not ended.is_set():
            folder = Path(run.current).resolve()  # what a reader of several files would do
            seen.append(((folder / "selected/t.jsonl").read_text(), (folder / "scores/t.parquet").read_text()))
            seen.append((published(run), ""))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 60):
        publish(run, make(run, str(number)))
    ended.set()
    reader.join()
    assert len(seen) > 20
    assert all(one == other or not other for one, other in seen)
    order = [int(one) for one, _ in seen]
    assert order == sorted(order)


def test_something_else_in_the_place_of_a_link_is_an_error_before_anything_is_made(tmp_path: Path) -> None:
    run = Run(f"{tmp_path}/run")
    Path(run.root, "selected").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"selected: expected a link to a version, or nothing, got a file or folder\. Move it away"):
        new_version(run)


def test_names_of_versions_sort_by_time_within_a_second_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = datetime(2026, 12, 1, 12, 42, 51, tzinfo=UTC)
    moments = iter(start + timedelta(milliseconds=10 * n) for n in range(100))
    monkeypatch.setattr(versions, "datetime", SimpleNamespace(now=lambda zone: next(moments)))
    names = [new_version(Run(str(tmp_path / "run"))).name for _ in range(100)]
    assert names == sorted(names)
    assert {name.partition("-")[0] for name in names} == {"20261201T124251Z"}
