"""Whether what stands in a store is whole: every page of every shard, every file of every checkpoint and trained model."""

from dataclasses import dataclass

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.storage.checkpoints import RECORD as CHECKPOINT_RECORD
from less_core.storage.checkpoints import read_checkpoint
from less_core.storage.examples import verify_example_shard
from less_core.storage.features import verify_feature_shard
from less_core.storage.files import exists, list_folders, read_json, set_aside
from less_core.storage.inventory import LEFTOVERS, UNKNOWN, Stored, list_store
from less_core.storage.layout import Store
from less_core.storage.trainings import RECORD as TRAINING_RECORD
from less_core.storage.trainings import verify_training


@dataclass(frozen=True)
class Damage:
    """Something of a store that does not verify."""

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


def set_damage_aside(damaged: list[Damage]) -> list[str]:
    """Rename what does not verify, so that the next run that needs it makes it anew; return the new names."""
    return [set_aside(damage.path) for damage in damaged if exists(damage.path)]


def _damage(stored: Stored) -> list[Damage]:
    if stored.kind == "warmups":
        checkpoints = [f"{stored.path}/{name}" for name in list_folders(stored.path) if name.startswith("checkpoint-")]
        return [found for folder in checkpoints for found in _damage_of_checkpoint(folder)]
    try:
        if stored.kind == "examples":
            verify_example_shard(stored.path)
        elif stored.kind == "evaluations":
            read_json(stored.path, made_by="an evaluation")
        elif stored.kind == "trainings":
            if exists(f"{stored.path}/{TRAINING_RECORD}"):
                verify_training(stored.path)
        else:
            verify_feature_shard(stored.path, stored.place.partition("/")[2].rpartition("/")[0])
    except (CorruptArtifactError, MissingArtifactError) as error:
        path = f"{stored.path}/{TRAINING_RECORD}" if stored.kind == "trainings" else stored.path
        return [Damage(path, str(error))]
    return []


def _damage_of_checkpoint(folder: str) -> list[Damage]:
    record = f"{folder}/{CHECKPOINT_RECORD}"
    if not exists(record):
        return []
    try:
        read_checkpoint(folder)
    except (CorruptArtifactError, MissingArtifactError) as error:
        return [Damage(record, str(error))]
    return []
