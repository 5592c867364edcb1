"""The results that the service knows, and which of their files it gives out.

Only files that a selection or a comparison leaves have an address: a folder of results may be a project's own folder, with more in it than
results.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec

from less_core.errors import LessError
from less_core.files.whole import exists, read_json

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"  # of selections, versions and targets; none begins with a dot
_OF_A_VERSION = rf"report\.html|run\.json|selected/{_NAME}\.jsonl|(?:scores|changes)/{_NAME}\.parquet"
_OF_A_COMPARISON = rf"comparison\.(?:json|md)|{_NAME}\.png"
_SERVED = re.compile(rf"{_NAME}/(?:(?:versions/{_NAME}/)?(?:{_OF_A_VERSION})|{_OF_A_COMPARISON})", re.ASCII)
_TYPES = {".html": "text/html; charset=utf-8", ".png": "image/png", ".parquet": "application/octet-stream"}
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class ResultsFolder:
    """A folder of results, and the key in the addresses of its files."""

    key: str
    runs: str


@dataclass(frozen=True)
class ServedFile:
    """A file that may be given out."""

    path: str
    media_type: str
    is_local: bool


def known_folders(home: Path) -> Iterator[ResultsFolder]:
    """Yield the folders that runs have made known."""
    for record in sorted(home.glob("*.json")):
        try:
            yield ResultsFolder(record.stem, str(read_json(str(record), made_by="a run")["runs"]))
        except (LessError, KeyError, TypeError):  # not of ours
            continue


def find_file(home: Path, key: str, path: str) -> ServedFile | None:
    """Return the file of a key and a decoded path below its folder; None where it is not there or not to be given out."""
    folder = next((known for known in known_folders(home) if known.key == key), None)
    if folder is None or not _SERVED.fullmatch(path):
        return None
    media_type = _TYPES.get(Path(path).suffix, _TEXT)
    local = local_path(folder.runs)
    if local is None:
        address = f"{folder.runs}/{path}"
        return ServedFile(address, media_type, is_local=False) if exists(address) else None
    try:
        file = (local / path).resolve(strict=True)
        within = file.relative_to(local.resolve())
    except (OSError, ValueError, RuntimeError):  # not there, a link that leads out, a circle of links
        return None
    return ServedFile(str(file), media_type, is_local=True) if file.is_file() and _SERVED.fullmatch(str(within)) else None


def local_path(runs: str) -> Path | None:
    """Return the path of a folder on a disk of this machine; None of one elsewhere."""
    file_system, inner = fsspec.core.url_to_fs(runs)
    return Path(inner) if "file" in file_system.protocol else None
