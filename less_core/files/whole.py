"""Files by path or URL, written whole or not at all."""

import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import fsspec

from less_core.errors import CorruptArtifactError, MissingArtifactError, StorageError
from less_core.files.file_systems import asking, is_object_store, writing

CORRUPT = ".corrupt"
_PIECE = 1 << 20  # bytes


@contextmanager
def write_whole(path: str) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes its name only when the block ends without an error.

    Raises:
        StorageError: There is no right to write there, no room, or no such bucket.
    """
    file_system, inner = fsspec.core.url_to_fs(path)
    if is_object_store(file_system):
        with tempfile.NamedTemporaryFile(prefix="less-upload-") as file:
            yield file
            file.flush()
            _upload(file.name, file_system, inner, path)
        return
    parent, _, name = inner.rpartition("/")
    temporary = f"{parent}/.{name}.{uuid.uuid4().hex}.tmp" if parent else f".{name}.{uuid.uuid4().hex}.tmp"
    with writing(path):
        try:
            file_system.makedirs(parent or ".", exist_ok=True)
            with file_system.open(temporary, "wb") as file:
                yield file
            file_system.mv(temporary, inner)
        except BaseException:
            if file_system.exists(temporary):
                file_system.rm(temporary)
            raise


def _upload(local: str, file_system: Any, inner: str, path: str) -> None:
    try:
        with asking(path):
            file_system.put_file(local, inner)
    except FileNotFoundError as error:  # there are no folders that could be missing
        raise StorageError(path, "a bucket of that name", f"{error}".rstrip("."), "Make it, or correct the address.") from error


def write_json(path: str, value: object) -> None:
    """Write a JSON file, whole or not at all."""
    with write_whole(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def read_bytes(path: str, *, made_by: str) -> bytes:
    """Return a file's content.

    Raises:
        MissingArtifactError: It is not there; names the stage that makes it.
        StorageError: There is no right to read it.
    """
    file_system, inner = fsspec.core.url_to_fs(path)
    try:
        with asking(path):
            return bytes(file_system.cat_file(inner))
    except FileNotFoundError:
        raise MissingArtifactError(path, f"a file that {made_by} leaves", "nothing there", "Run it again.") from None


def read_in_pieces(path: str, *, made_by: str) -> Iterator[bytes]:
    """Yield a file's content in pieces of a megabyte.

    Raises:
        MissingArtifactError: It is not there; names the stage that makes it.
        StorageError: There is no right to read it.
    """
    file_system, inner = fsspec.core.url_to_fs(path)
    try:
        with asking(path), file_system.open(inner, "rb") as file:
            while piece := file.read(_PIECE):
                yield piece
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
    except (ValueError, RecursionError) as error:
        raise CorruptArtifactError(path, "JSON", str(error), "Delete it and run again.") from None


def exists(path: str) -> bool:
    """Tell whether a file or folder is there."""
    file_system, inner = fsspec.core.url_to_fs(path)
    with asking(path):
        return bool(file_system.exists(inner))


def list_files(folder: str, suffix: str) -> list[str]:
    """Return the folder's files with that ending, sorted; none where there is no folder. Temporary files are left out."""
    names = _list(folder, "file")
    return [f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith(".")]


def list_folders(folder: str) -> list[str]:
    """Return the names of the folders in a folder, sorted; none where there is no folder."""
    return _list(folder, "directory")


def _list(folder: str, kind: str) -> list[str]:
    file_system, inner = fsspec.core.url_to_fs(folder)
    try:
        with asking(folder):
            entries = file_system.ls(inner, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == kind)


def size_of(path: str) -> int:
    """Return a file's size in bytes."""
    file_system, inner = fsspec.core.url_to_fs(path)
    return int(file_system.size(inner))


def size_of_folder(folder: str) -> int:
    """Return the bytes of all files in a folder and its folders; 0 where there is none."""
    file_system, inner = fsspec.core.url_to_fs(folder)
    with asking(folder):
        return int(file_system.du(inner)) if file_system.exists(inner) else 0


def set_aside(path: str) -> str:
    """Rename a file that does not verify, so that it is kept but no longer found; return its new name."""
    file_system, inner = fsspec.core.url_to_fs(path)
    if file_system.exists(inner + CORRUPT):
        file_system.rm(inner + CORRUPT)
    file_system.mv(inner, inner + CORRUPT)
    return path + CORRUPT
