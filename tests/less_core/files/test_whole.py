"""Files that are whole or not there, by path and by URL."""

import errno
from pathlib import Path

import fsspec
import pytest

from less_core.errors import CorruptArtifactError, MissingArtifactError, StorageError
from less_core.files.whole import exists, list_files, read_bytes, read_in_pieces, read_json, set_aside, size_of, write_json, write_whole


def write(path: str, content: bytes) -> None:
    with write_whole(path) as file:
        file.write(content)


def write_half(path: str, error: BaseException) -> None:
    with write_whole(path) as file:
        file.write(b"half")
        raise error


def everything(folder: str) -> list[str]:
    file_system, inner = fsspec.core.url_to_fs(folder)
    return sorted(path.rpartition("/")[2] for path in file_system.find(inner))


def test_write_whole_round_trips_and_makes_folders(folder: str) -> None:
    path = f"{folder}/deep/er/a.bin"
    assert not exists(path)
    write(path, b"abc")
    assert exists(path)
    assert exists(f"{folder}/deep")
    assert read_bytes(path, made_by="a test") == b"abc"
    assert size_of(path) == 3


def test_file_is_read_in_pieces(folder: str) -> None:
    content = bytes(range(256)) * 5000
    write(f"{folder}/a.bin", content)
    pieces = list(read_in_pieces(f"{folder}/a.bin", made_by="a test"))
    assert len(pieces) > 1
    assert b"".join(pieces) == content
    with pytest.raises(MissingArtifactError, match="a test"):
        list(read_in_pieces(f"{folder}/missing.bin", made_by="a test"))


def test_write_whole_replaces_what_is_there(folder: str) -> None:
    write(f"{folder}/a.bin", b"old and long")
    write(f"{folder}/a.bin", b"new")
    assert read_bytes(f"{folder}/a.bin", made_by="a test") == b"new"
    assert everything(folder) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")])
@pytest.mark.parametrize("before", [None, b"old"])
def test_write_whole_leaves_things_as_they_were_when_the_block_raises(folder: str, error: BaseException, before: bytes | None) -> None:
    path = f"{folder}/a.bin"
    if before is not None:
        write(path, before)
    with pytest.raises(type(error)):
        write_half(path, error)
    assert everything(folder) == ([] if before is None else ["a.bin"])
    assert exists(path) == (before is not None)
    if before is not None:
        assert read_bytes(path, made_by="a test") == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_write_whole_says_where_there_is_no_room_and_leaves_what_was_there(folder: str, code: int) -> None:
    path = f"{folder}/a.bin"
    write(path, b"old")
    with pytest.raises(StorageError, match=r"a\.bin: expected a disk with room"):
        write_half(path, OSError(code, "no"))
    assert everything(folder) == ["a.bin"]
    assert read_bytes(path, made_by="a test") == b"old"


def test_write_whole_takes_its_name_only_at_the_end(folder: str) -> None:
    path = f"{folder}/a.parquet"
    with write_whole(path) as file:
        file.write(b"half")
        assert not exists(path)
        assert list_files(folder, ".parquet") == []
    assert exists(path)


def test_write_whole_takes_a_bare_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("a.bin", b"abc")
    assert (tmp_path / "a.bin").read_bytes() == b"abc"
    assert everything(str(tmp_path)) == ["a.bin"]


def test_json_round_trips_with_text_of_every_kind(folder: str) -> None:
    value = {"a": [1, 2.5, None, True], "ü": "日本 \n \u2028", "nested": {"b": []}}
    write_json(f"{folder}/a.json", value)
    assert read_json(f"{folder}/a.json", made_by="a test") == value
    assert "日本" in read_bytes(f"{folder}/a.json", made_by="a test").decode()


def test_read_of_a_missing_file_names_the_stage_that_makes_it(folder: str) -> None:
    for read in (read_bytes, read_json):
        with pytest.raises(MissingArtifactError, match=r"x.json: expected a file that the warmup leaves, got nothing there"):
            read(f"{folder}/x.json", made_by="the warmup")


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1} x', b"\xff\xfe{}"])
def test_read_json_of_something_else_is_a_corrupt_artifact(folder: str, content: bytes) -> None:
    write(f"{folder}/a.json", content)
    with pytest.raises(CorruptArtifactError, match=r"a.json: expected JSON"):
        read_json(f"{folder}/a.json", made_by="a test")


def test_list_files_is_sorted_and_leaves_out_other_endings_hidden_files_and_folders(folder: str) -> None:
    assert list_files(folder, ".parquet") == []
    for name in ("b.parquet", "a.parquet", "a.json", ".c.parquet", "d.parquet.corrupt", "sub.parquet/e.parquet"):
        write(f"{folder}/{name}", b"")
    assert list_files(folder, ".parquet") == [f"{folder}/a.parquet", f"{folder}/b.parquet"]


def test_set_aside_keeps_the_content_under_a_name_that_is_not_listed(folder: str) -> None:
    path = f"{folder}/a.parquet"
    for content in (b"first", b"second"):  # a file set aside before makes room
        write(path, content)
        aside = set_aside(path)
        assert read_bytes(aside, made_by="a test") == content
        assert not exists(path)
        assert list_files(folder, ".parquet") == []
    assert everything(folder) == ["a.parquet.corrupt"]
