"""What of a store and its results no version of a selection needs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec

from less_core.errors import CorruptArtifactError
from less_core.files.whole import exists, list_files, list_folders, read_json
from less_core.refs import SIDES
from less_core.storage.formats.examples import iterate_run_index
from less_core.storage.formats.manifest import read_manifest
from less_core.storage.inventory import UNKNOWN, Stored, list_store, walk
from less_core.storage.layout import ComparisonFiles, Run, Store, Version, place_in_store
from less_core.storage.provenance import read_basis
from less_core.storage.versions import current_version, list_runs, list_versions, unfinished_links

DAY = 86400.0  # seconds
KEPT = ("evaluations", UNKNOWN)  # a kilobyte each, and what others put there


@dataclass(frozen=True)
class Garbage:
    """Something that nothing refers to, and that has not changed for a while."""

    path: str
    kind: str
    size: int  # bytes


def find_garbage(
    store: Store, results: Sequence[str], *, older_than: float, keep_versions: int = 0, now: float | None = None
) -> list[Garbage]:
    """Return what can be deleted without any version losing something; nothing is deleted.

    That is: versions that were never finished; versions beyond the newest `keep_versions` of a selection; shards, warmups and trained
    models to which no version or comparison that stays refers; temporary files, locks and files set aside. What has changed within
    `older_than` is left: it may be the work of a run that has not come to its end.

    Args:
        store: The store.
        results: All folders of results whose runs share the store; what is left out is taken to need nothing.
        older_than: Days since the last change.
        keep_versions: Versions to keep of each selection, the published one always; 0 keeps all.
        now: Seconds since the epoch.

    Raises:
        CorruptArtifactError: A version cannot be read, so that nobody knows what it refers to.
    """
    until = (time.time() if now is None else now) - older_than * DAY
    found: list[Garbage] = []
    needed: set[str] = set()
    for run in list_runs(results):
        needed |= _trainings(run)
        dropped = _dropped(run, keep_versions)
        for version in map(run.version, list_folders(run.versions)):
            files = list(walk(version.root))
            young = any(modified > until for _, _, modified in files)
            if young or (exists(version.record) and version not in dropped):
                needed |= _referenced(version)
            else:
                kind = "old versions" if exists(version.record) else "unfinished versions"
                found.append(Garbage(version.root, kind, sum(size for _, size, _ in files)))
        found += [Garbage(link, "temporary files", 0) for link in unfinished_links(run, until)]
    return found + [
        Garbage(stored.path, stored.kind, stored.size)
        for stored in list_store(store)
        if stored.modified <= until and stored.kind not in KEPT and not _is_needed(stored, needed)
    ]


def delete(garbage: Sequence[Garbage]) -> None:
    """Delete what was found, and the folders that are left empty by it."""
    for found in garbage:
        file_system, inner = fsspec.core.url_to_fs(found.path)
        if "://" not in found.path and Path(inner).is_symlink():
            Path(inner).unlink()
        elif file_system.exists(inner):
            file_system.rm(inner, recursive=True)
        parent = inner.rpartition("/")[0]
        if file_system.isdir(parent) and not file_system.ls(parent, detail=False):
            file_system.rmdir(parent)


def _is_needed(stored: Stored, needed: set[str]) -> bool:
    if stored.kind == "examples":
        return f"examples/*/{stored.place.rpartition('/')[2]}" in needed
    return stored.place in needed


def _dropped(run: Run, keep: int) -> list[Version]:
    """Return the whole versions that are not to be kept."""
    current = current_version(run)
    return [version for version in list_versions(run)[:-keep] if version != current] if keep else []


def _referenced(version: Version) -> set[str]:
    """Return the places of a store that a version refers to, whole or not: its shards, features, products and warmup.

    Shards of encoded examples are known by their name alone, ``examples/*/<shard>.parquet``.

    Raises:
        CorruptArtifactError: One of its files cannot be read, so that nobody knows what it refers to.
    """
    found: set[str] = set()
    for side in SIDES:
        if exists(version.index(side)):
            for index in iterate_run_index(version.index(side)):
                found |= {f"examples/*/{shard}.parquet" for shard in index["shard"].unique().to_pylist()}
    for path in list_files(version.index_folder, ".json"):
        if path != version.target_parts:
            manifest = read_manifest(path)
            found |= {_warmup(checkpoint.folder) for checkpoint in manifest.checkpoints}
            found |= {place_in_store(file) for shards in manifest.files.values() for files in shards for file in files}
    if exists(version.basis):
        warmup = read_basis(version).warmup
        found |= {_warmup(folder) for folder in warmup.folders} if warmup else set()
    return found - {""}


def _warmup(folder: str) -> str:
    """Return the warmup that a checkpoint is of; nothing where it stands outside the store."""
    place = place_in_store(folder)
    return "/".join(place.split("/")[:2]) if place.startswith("warmups/") else ""


def _trainings(run: Run) -> set[str]:
    """Return the places of the trained models that a comparison refers to.

    Raises:
        CorruptArtifactError: Its record cannot be read.
    """
    record = ComparisonFiles(run.root).record
    if not exists(record):
        return set()
    try:
        outcomes = read_json(record, made_by="a comparison")["outcomes"]
        return {f"trainings/{outcome['training']}" for outcome in outcomes if outcome["training"]}
    except (KeyError, TypeError) as error:
        raise CorruptArtifactError(record, "the record of a comparison", repr(error), "Run `less-flow compare` again.") from None
