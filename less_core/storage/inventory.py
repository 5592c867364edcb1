"""What stands in a store, file by file."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fsspec

from less_core.files.whole import CORRUPT
from less_core.storage.layout import Store, place_in_store

LEFTOVERS = {".tmp": "temporary files", ".lock": "locks", CORRUPT: "files set aside"}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Stored:
    """A file of a store, or a folder of files that belong together."""

    path: str
    place: str  # as the store sees it: features/<fingerprint>/<shard>.parquet; of a warmup or a training its folder
    kind: str  # examples, features, influence, warmups, trainings, evaluations; one of `LEFTOVERS`; unknown
    size: int  # bytes
    modified: float  # seconds since the epoch; of a folder its newest file


def list_store(store: Store) -> list[Stored]:
    """Return all that stands in a store, by place; files of one warmup or one training are one."""
    found: dict[tuple[str, str], Stored] = {}
    for path, size, modified in walk(store.root):
        stored = _stored(store, path, size, modified)
        before = found.get((stored.kind, stored.place))
        if before:
            stored = Stored(stored.path, stored.place, stored.kind, size + before.size, max(modified, before.modified))
        found[stored.kind, stored.place] = stored
    return sorted(found.values(), key=lambda stored: stored.place)


def walk(folder: str) -> Iterator[tuple[str, int, float]]:
    """Yield path, size and time of change of every file below a folder; nothing where there is no folder."""
    file_system, inner = fsspec.core.url_to_fs(folder)
    if not file_system.isdir(inner):
        return
    for name, info in sorted(file_system.find(inner, detail=True).items()):
        yield folder + str(name).removeprefix(inner.rstrip("/")), int(info["size"] or 0), _modified(info)


def _modified(info: dict[str, Any]) -> float:
    """Return when a file was written; file systems call it by different names."""
    found = info.get("mtime") or info.get("LastModified") or info.get("updated") or info.get("created")
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    return found.timestamp() if isinstance(found, datetime) else float(found or 0)


def _stored(store: Store, path: str, size: int, modified: float) -> Stored:
    place = path.removeprefix(store.root + "/")
    kind = next((kind for ending, kind in LEFTOVERS.items() if place.endswith(ending)), "")
    if kind:
        return Stored(path, place, kind, size, modified)
    parts = place_in_store(path).split("/")
    known = {"examples": 3, "features": 3, "influence": 4, "warmups": 3, "trainings": 3, "evaluations": 2}
    if len(parts) < known.get(parts[0], len(parts) + 1) or parts != place.split("/"):
        return Stored(path, place, UNKNOWN, size, modified)
    if parts[0] in ("warmups", "trainings"):
        place = "/".join(parts[:2])
        return Stored(f"{store.root}/{place}", place, parts[0], size, modified)
    return Stored(path, place, parts[0], size, modified)
