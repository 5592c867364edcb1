"""Manifests, there and back, and what is none."""

import json
from typing import Any

import fsspec
import pytest

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.whole import write_json
from less_core.refs import CheckpointRef
from less_core.storage.formats.manifest import Manifest, read_manifest, write_manifest


def checkpoint(number: int) -> CheckpointRef:
    return CheckpointRef(
        name=f"checkpoint-{number}",
        number=number,
        of=2,
        folder=f"store/warmups/w/checkpoint-{number}",
        fingerprint=f"{number:032x}",
        step=3 * number,
        learning_rate=2e-5 / 3,
        weight=1 / 3,
        epsilon_share=0.0,
    )


MANIFESTS = {
    "two checkpoints": Manifest(
        [checkpoint(2), checkpoint(1)], {f"{2:032x}": [["b.parquet", "a.parquet"], []], f"{1:032x}": [["c.parquet"]]}
    ),
    "files of no text of ours": Manifest([checkpoint(1)], {f"{1:032x}": [["s3://bücket/日本 .parquet", 'a"\\\n.parquet']]}),
    "empty": Manifest([], {}),
}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=list(MANIFESTS))
def test_manifest_round_trips_in_order(folder: str, manifest: Manifest) -> None:
    write_manifest(f"{folder}/m.json", manifest)
    read = read_manifest(f"{folder}/m.json")
    assert read == manifest
    assert list(read.files) == list(manifest.files)


def test_manifest_that_is_missing_names_the_stage_that_makes_it(folder: str) -> None:
    with pytest.raises(MissingArtifactError, match=r"m.json: expected a file that the features stage leaves"):
        read_manifest(f"{folder}/m.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"null", b"3", b'"text"', b"[]", b"{}"])
def test_manifest_of_something_else_is_corrupt(folder: str, content: bytes) -> None:
    write_json(f"{folder}/m.json", {})
    with fsspec.open(f"{folder}/m.json", "wb") as file:
        file.write(content)
    with pytest.raises(CorruptArtifactError, match=r"m\.json: expected (JSON|a manifest of features), got"):
        read_manifest(f"{folder}/m.json")


ONE = checkpoint(1).model_dump()


@pytest.mark.parametrize(
    "value",
    [
        {"checkpoints": []},
        {"files": {}},
        {"checkpoints": None, "files": {}},
        {"checkpoints": [3], "files": {}},
        {"checkpoints": [{}], "files": {}},
        {"checkpoints": [ONE | {"step": "many"}], "files": {}},
        {"checkpoints": [{key: value for key, value in ONE.items() if key != "weight"}], "files": {}},
        {"checkpoints": [ONE], "files": None},
        {"checkpoints": [ONE], "files": ["a.parquet"]},
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_manifest_with_a_part_missing_or_of_another_kind_is_corrupt(folder: str, value: Any) -> None:
    write_json(f"{folder}/m.json", value)
    with pytest.raises(CorruptArtifactError, match=r"(?s)m\.json: expected a manifest of features, got .*Run the features stage"):
        read_manifest(f"{folder}/m.json")


@pytest.mark.parametrize("files", [{"a": 3}, {"a": ["a.parquet"]}, {"a": [[3]]}, [["a", "b"]]], ids=json.dumps)
def test_manifest_with_files_that_are_no_lists_of_names_is_corrupt(folder: str, files: Any) -> None:
    write_json(f"{folder}/m.json", {"checkpoints": [ONE], "files": files})
    with pytest.raises(CorruptArtifactError):
        read_manifest(f"{folder}/m.json")
