"""Which files hold the features of a run's examples: a list a shard, at each checkpoint."""

from dataclasses import dataclass

from pydantic import TypeAdapter

from less_core.errors import CorruptArtifactError
from less_core.files.whole import read_json, write_json
from less_core.refs import CheckpointRef

_CHECKPOINTS = TypeAdapter(list[CheckpointRef])
_FILES = TypeAdapter(dict[str, list[list[str]]])


@dataclass(frozen=True)
class Manifest:
    """Checkpoints in order, and for each by its fingerprint the files of every shard of the run's index."""

    checkpoints: list[CheckpointRef]
    files: dict[str, list[list[str]]]


def write_manifest(path: str, manifest: Manifest) -> None:
    """Write a manifest."""
    write_json(path, {"checkpoints": [c.model_dump(mode="json") for c in manifest.checkpoints], "files": manifest.files})


def read_manifest(path: str) -> Manifest:
    """Return a manifest.

    Raises:
        MissingArtifactError: It is not there.
        CorruptArtifactError: It is not a manifest.
    """
    value = read_json(path, made_by="the features stage")
    try:
        return Manifest(_CHECKPOINTS.validate_python(value["checkpoints"]), _FILES.validate_python(value["files"]))
    except (KeyError, TypeError, ValueError) as error:
        got = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CorruptArtifactError(path, "a manifest of features", got, "Run the features stage again.") from None
