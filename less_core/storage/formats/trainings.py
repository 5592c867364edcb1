"""Trained models in the store: the folder that transformers or peft wrote, and a record that comes last and so means "whole"."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.fingerprint import fingerprint_bytes
from less_core.files.whole import exists, read_json, write_json, write_whole

RECORD = "training.json"
PIECE = 1 << 24  # bytes copied at a time
_DO = "Run again: it is trained anew."


def is_training(folder: str) -> bool:
    """Tell whether a folder holds a whole trained model."""
    return exists(f"{folder}/{RECORD}")


def keep_training(folder: str, made: Path, record: dict[str, Any]) -> None:
    """Copy the files of a local folder into the store, each whole or not at all; the record, with their addresses, comes last."""
    files = {}
    for path in sorted(path for path in made.iterdir() if path.is_file()):
        with write_whole(f"{folder}/{path.name}") as file:
            files[path.name] = fingerprint_bytes(_copied(str(path), file))
    write_json(f"{folder}/{RECORD}", record | {"files": files})


def read_training(folder: str) -> dict[str, Any]:
    """Return a trained model's record.

    Raises:
        MissingArtifactError, CorruptArtifactError: As `read_json`.
    """
    record: dict[str, Any] = read_json(f"{folder}/{RECORD}", made_by="the training")
    return record


def verify_training(folder: str) -> dict[str, Any]:
    """Read all files of a trained model; return its record.

    Raises:
        MissingArtifactError: One is not there.
        CorruptArtifactError: One is not what the record says.
    """
    record = read_training(folder)
    for name, address in record["files"].items():
        if not exists(f"{folder}/{name}"):
            raise MissingArtifactError(f"{folder}/{name}", "a file that the training left", "nothing there", _DO)
        found = fingerprint_bytes(_pieces(f"{folder}/{name}"))
        if found != address:
            raise CorruptArtifactError(f"{folder}/{name}", f"content {address}", found, _DO)
    return record


@contextmanager
def local_folder(folder: str) -> Iterator[Path]:
    """Give a trained model's folder as a local one: itself, or a copy that lasts as long as the block."""
    if "://" not in folder:
        yield Path(folder)
        return
    file_system, inner = fsspec.core.url_to_fs(folder)
    with tempfile.TemporaryDirectory(prefix="less-training-") as copy:
        for name in file_system.ls(inner, detail=False):
            file_system.get_file(name, f"{copy}/{name.rstrip('/').rpartition('/')[2]}")
        yield Path(copy)


def _pieces(path: str) -> Iterator[bytes]:
    with fsspec.open(path, "rb") as source:
        while piece := source.read(PIECE):
            yield piece


def _copied(path: str, file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's pieces as they are written to another."""
    for piece in _pieces(path):
        file.write(piece)
        yield piece
