"""Files by path or URL, written whole or not at all."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import fsspec

from less_core.errors import CorruptArtifactError, MissingArtifactError

CORRUPT = ".corrupt"


@contextmanager
def write_whole(path: str) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes its name only when the block ends without an error."""
    file_system, inner = fsspec.core.url_to_fs(path)
    parent, _, name = inner.rpartition("/")
    file_system.makedirs(parent or ".", exist_ok=True)
    temporary = f"{parent}/.{name}.{uuid.uuid4().hex}.tmp" if parent else f".{name}.{uuid.uuid4().hex}.tmp"
    try:
        with file_system.open(temporary, "wb") as file:
            yield file
        file_system.mv(temporary, inner)
    except BaseException:
        if file_system.exists(temporary):
            file_system.rm(temporary)
        raise


def write_json(path: str, value: object) -> None:
    """Write a JSON file, whole or not at all."""
    with write_whole(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def read_bytes(path: str, *, made_by: str) -> bytes:
    """Return a file's content.

    Raises:
        MissingArtifactError: It is not there; names the stage that makes it.
    """
    try:
        with fsspec.open(path, "rb") as file:
            return bytes(file.read())
    except FileNotFoundError:
        raise MissingArtifactError(path, f"a file that {made_by} leaves", "nothing there", "Run it again.") from None


def read_json(path: str, *, made_by: str) -> Any:
    """Return a JSON file's value.

    Raises:
        MissingArtifactError: It is not there.
        CorruptArtifactError: It is not JSON.
    """
    try:
        return json.loads(read_bytes(path, made_by=made_by))
    except ValueError as error:
        raise CorruptArtifactError(path, "JSON", str(error), "Delete it and run again.") from None


def exists(path: str) -> bool:
    """Tell whether a file or folder is there."""
    file_system, inner = fsspec.core.url_to_fs(path)
    return bool(file_system.exists(inner))


def list_files(folder: str, suffix: str) -> list[str]:
    """Return the folder's files with that ending, sorted; none where there is no folder. Temporary files are left out."""
    file_system, inner = fsspec.core.url_to_fs(folder)
    if not file_system.isdir(inner):
        return []
    names = sorted(str(entry["name"]).rpartition("/")[2] for entry in file_system.ls(inner, detail=True) if entry["type"] == "file")
    return [f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith(".")]


def list_folders(folder: str) -> list[str]:
    """Return the names of the folders in a folder, sorted; none where there is no folder."""
    file_system, inner = fsspec.core.url_to_fs(folder)
    if not file_system.isdir(inner):
        return []
    found = [str(entry["name"]).rstrip("/") for entry in file_system.ls(inner, detail=True) if entry["type"] == "directory"]
    return sorted(name.rpartition("/")[2] for name in found)


def size_of(path: str) -> int:
    """Return a file's size in bytes."""
    file_system, inner = fsspec.core.url_to_fs(path)
    return int(file_system.size(inner))


def set_aside(path: str) -> str:
    """Rename a file that does not verify, so that it is kept but no longer found; return its new name."""
    file_system, inner = fsspec.core.url_to_fs(path)
    if file_system.exists(inner + CORRUPT):
        file_system.rm(inner + CORRUPT)
    file_system.mv(inner, inner + CORRUPT)
    return path + CORRUPT
