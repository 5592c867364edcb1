"""Data, store and results on S3: a run ends like one on a disk, also where requests fail; what does not pass is one clear error."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from breaking import WRONG_INPUT
from counts import FULL, Count, in_full
from object_store import FAULTS, ObjectStore, serving_objects
from samples import assert_same_files, write_jsonl

from flows.cli.main import main
from flows.select_data import select_data
from less_core.files.whole import read_json
from less_core.settings.file import parse_settings
from less_core.settings.select import SelectSettings
from less_core.storage.layout import run_of, store_of
from less_core.storage.upkeep.garbage import find_garbage
from less_core.storage.upkeep.verification import verify_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

FEW, OFTEN = 0.05, 0.15  # of the requests
SEEDS = range(3 if FULL else 1)
KEEPING = ("prepare", "warmup", "target features", "pool features")
SHARDS = ("examples/", "features/", "influence/")


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectStore]:
    with serving_objects() as served:
        yield served


@pytest.fixture
def on_disk(make_settings: Callable[..., SelectSettings]) -> SelectSettings:
    """A selection of everything there is to write: features of both sides, and exact influence."""
    execution = {"shard_size": 16, "batch_tokens": 256, "device": "cpu"}
    return make_settings(influence={"scoring": "exact"}, execution=execution)


@pytest.fixture
def on_objects(on_disk: SelectSettings, objects: ObjectStore, tmp_path: Path) -> SelectSettings:
    """The same with data, store and results in a bucket of its own."""
    objects.gate.fail(0)
    bucket = objects.make_bucket()
    for path in tmp_path.glob("*.jsonl"):
        objects.put(f"{bucket}/data/{path.name}", path.read_bytes())
    return on_disk.model_copy(update={"data_dir": f"{bucket}/data", "store": f"{bucket}/store", "runs": f"{bucket}/runs"})


def bucket(settings: SelectSettings) -> str:
    return settings.store.removesuffix("/store")


def shards_in(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.startswith(SHARDS)}


def assert_as_on_disk(settings: SelectSettings, objects: ObjectStore, peace: Any) -> None:
    """Shards, scores and selection are those of the run on a disk, byte for byte, and all of the store is whole."""
    local = Path(peace.settings.store)
    expected = shards_in({str(path.relative_to(local)): path.read_bytes() for path in local.rglob("*.parquet")})
    found = objects.objects(bucket(settings))
    assert_same_files(shards_in({name.removeprefix("store/"): content for name, content in found.items()}), expected)
    assert found["runs/test/selected/t.jsonl"].splitlines() == peace.selected()
    assert found["runs/test/scores/t.parquet"] == Path(peace.version.scores("t")).read_bytes()
    assert verify_store(store_of(settings))[1] == []
    found = find_garbage(store_of(settings), [settings.runs], older_than=0)
    assert {garbage.kind for garbage in found} <= {"unfinished versions"}  # nothing half-written, nothing twice


def computed(settings: SelectSettings) -> dict[str, int]:
    """Return how much the stages that write to the store computed in the last run."""
    stages = read_json(run_of(settings).published.record, made_by="a run")["stages"]
    return {stage["name"]: stage["computed"] for stage in stages if stage["name"] in KEEPING}


@pytest.mark.parametrize("seed", SEEDS)
def test_run_on_an_object_store_that_fails_one_request_in_twenty_ends_like_one_on_a_disk(
    on_disk: SelectSettings, on_objects: SelectSettings, objects: ObjectStore, run_stages: Callable[..., Any], count: Count, seed: int
) -> None:
    left = []
    for run in (seed, seed + len(SEEDS)):
        objects.gate.fail(FEW, seed=run)
        select_data(on_objects)
        count(requests=objects.gate.requests.total(), faults=objects.gate.faults.total(), runs_compared=1)
        assert objects.gate.faults.total() > 5
        objects.gate.fail(0)
        left.append(objects.objects(bucket(on_objects)))
    assert_as_on_disk(on_objects, objects, run_stages(on_disk))
    assert computed(on_objects) == {"prepare": 0, "warmup": 0, "target features": 0, "pool features": 0}
    first, second = ({name: content for name, content in found.items() if name.startswith("store/")} for found in left)
    assert_same_files(first, second)


@in_full("all of these faults at once")
@pytest.mark.parametrize("kind", FAULTS)
def test_run_on_an_object_store_that_fails_often_in_one_way_ends_the_same(
    on_disk: SelectSettings, on_objects: SelectSettings, objects: ObjectStore, run_stages: Callable[..., Any], count: Count, kind: str
) -> None:
    objects.gate.fail(OFTEN, (kind,))
    select_data(on_objects)
    count(requests=objects.gate.requests.total(), faults=objects.gate.faults.total(), runs_compared=1)
    objects.gate.fail(0)
    assert_as_on_disk(on_objects, objects, run_stages(on_disk))


@pytest.mark.parametrize("after", [0, 40, 120, 200] if FULL else [120])
def test_right_that_is_taken_away_is_one_clear_error_at_once_and_given_back_the_run_goes_on(
    on_disk: SelectSettings,
    on_objects: SelectSettings,
    objects: ObjectStore,
    run_stages: Callable[..., Any],
    count: Count,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    after: int,
) -> None:
    config = write_config(on_objects, tmp_path)
    objects.gate.fail(1, ("403",), after=after)
    assert main(["run", config]) == WRONG_INPUT
    refused = objects.gate.faults["403"]
    objects.gate.fail(0)
    said = capfd.readouterr().err.rpartition("less-flow: ")[2]
    assert "s3://" in said
    assert "PermissionError" in said
    assert "Traceback" not in said
    assert refused <= 40  # of what is in flight in all threads, none is asked again
    select_data(on_objects)
    count(refusals=refused, runs_compared=1)
    assert_as_on_disk(on_objects, objects, run_stages(on_disk))


def test_bucket_that_is_not_there_is_one_clear_error(on_objects: SelectSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    nowhere = on_objects.model_copy(update={"store": "s3://less-nowhere/store"})
    assert main(["run", write_config(nowhere, tmp_path)]) == WRONG_INPUT
    said = capfd.readouterr().err.rpartition("less-flow: ")[2]
    assert "s3://less-nowhere/store" in said
    assert "bucket does not exist" in said


def write_config(settings: SelectSettings, folder: Path) -> str:
    assert parse_settings(settings.model_dump(mode="json"), where="test") == settings
    return str(write_jsonl(folder / "objects.yaml", [settings.model_dump(mode="json")]))  # JSON is YAML
