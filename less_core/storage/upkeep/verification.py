"""Integrity checks for a store and its results: shards, checkpoints, trained models, scores and selections."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.whole import exists, list_folders, read_json, set_aside
from less_core.storage.formats.checkpoints import RECORD as CHECKPOINT_RECORD
from less_core.storage.formats.checkpoints import read_checkpoint
from less_core.storage.formats.examples import verify_example_shard
from less_core.storage.formats.features import verify_feature_shard
from less_core.storage.formats.scores import iterate_scores
from less_core.storage.formats.selections import verify_selected_rows
from less_core.storage.formats.trainings import RECORD as TRAINING_RECORD
from less_core.storage.formats.trainings import verify_training
from less_core.storage.inventory import LEFTOVERS, UNKNOWN, Stored, list_store, walk
from less_core.storage.layout import MERGED, Store, Version
from less_core.storage.provenance import read_basis
from less_core.storage.versions import list_runs, list_versions


@dataclass(frozen=True)
class Damage:
    """Something of a store or a version that does not verify."""

    path: str  # of the file that makes it count as made: set aside, the next run makes it anew
    reason: str


def verify_store(store: Store) -> tuple[list[Stored], list[Damage]]:
    """Read all of a store; return what was read, and what of it does not verify.

    A warmup or training without its record is not made yet, or not whole, which is no damage. Leftovers and files that are not of a
    store are not read.
    """
    read, damaged = [], []
    for stored in list_store(store):
        if stored.kind in LEFTOVERS.values() or stored.kind == UNKNOWN:
            continue
        read.append(stored)
        damaged += _damage(stored)
    return read, damaged


def verify_results(results: Sequence[str]) -> tuple[list[Stored], list[Damage]]:
    """Read the scores and selections of every whole version in folders of results; return the versions, and what does not verify."""
    read, damaged = [], []
    for run in list_runs(results):
        for version in list_versions(run):
            files = list(walk(version.root))
            size, modified = sum(size for _, size, _ in files), max(modified for _, _, modified in files)
            read.append(Stored(version.root, version.root, "versions", size, modified))
            damaged += _damage_of_version(version)
    return read, damaged


def set_damage_aside(damaged: list[Damage]) -> list[str]:
    """Rename what does not verify, so that the next run that needs it makes it anew; return the new names."""
    return [set_aside(damage.path) for damage in damaged if exists(damage.path)]


def _damage(stored: Stored) -> list[Damage]:
    found: list[Damage] = []
    if stored.kind == "warmups":
        for record in (f"{stored.path}/{name}/{CHECKPOINT_RECORD}" for name in list_folders(stored.path) if name.startswith("checkpoint-")):
            if exists(record):
                with _noted(found, record):
                    read_checkpoint(record.rpartition("/")[0])
    elif stored.kind == "trainings":
        record = f"{stored.path}/{TRAINING_RECORD}"
        if exists(record):
            with _noted(found, record):
                verify_training(stored.path)
    else:
        with _noted(found, stored.path):
            if stored.kind == "examples":
                verify_example_shard(stored.path)
            elif stored.kind == "evaluations":
                read_json(stored.path, made_by="an evaluation")
            else:
                verify_feature_shard(stored.path, stored.place.partition("/")[2].rpartition("/")[0])
    return found


def _damage_of_version(version: Version) -> list[Damage]:
    found: list[Damage] = []
    with _noted(found, version.basis):
        for selection in read_basis(version).selections:
            with _noted(found, version.selected(selection.target)):
                verify_selected_rows(version.selected(selection.target), selection.address)
            if selection.target != MERGED:
                with _noted(found, version.scores(selection.target)):
                    deque(iterate_scores(version.scores(selection.target)), maxlen=0)
    return found


@contextmanager
def _noted(found: list[Damage], path: str) -> Iterator[None]:
    """Take down as damage of `path` what is found in the block."""
    try:
        yield
    except (CorruptArtifactError, MissingArtifactError) as error:
        found.append(Damage(path, str(error)))
