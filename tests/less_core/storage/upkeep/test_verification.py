"""Every kind of thing in a store, damaged in every way that matters, is found; whole things are not touched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import assert_same

from less_core.settings.select import SelectSettings
from less_core.storage.formats.trainings import RECORD, keep_training
from less_core.storage.layout import Store, store_of
from less_core.storage.upkeep.verification import set_damage_aside, verify_results, verify_store

pytestmark = pytest.mark.slow


@pytest.fixture
def made(make_settings: Callable[..., SelectSettings], run_stages: Callable[..., Any]) -> Any:
    """A run with features and exact influence, and a trained model beside it."""
    result = run_stages(make_settings(influence={"scoring": "exact"}))
    store = Path(result.settings.store)
    trained = store.parent / "trained"
    trained.mkdir()
    (trained / "model.safetensors").write_bytes(bytes(range(200)))
    keep_training(str(store / "trainings" / "0a"), trained, {"examples": 3})
    return result


def flip(path: Path) -> None:
    """Change one bit of a file, among what it holds and not in what tells about it at its end."""
    content = bytearray(path.read_bytes())
    content[len(content) // 8] ^= 1
    path.write_bytes(content)


def test_whole_store_has_no_damage_and_every_kind_is_read(made: Any) -> None:
    read, damaged = verify_store(store_of(made.settings))
    assert damaged == []
    assert {stored.kind for stored in read} == {"examples", "features", "influence", "warmups", "trainings"}


@pytest.mark.parametrize("how", [flip, lambda path: path.write_bytes(path.read_bytes()[:-9]), lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("kind", ["examples/*/*", "features/*/*", "influence/*/*/*"])
def test_damaged_shard_is_named_and_set_aside_only_on_request(made: Any, kind: str, how: Callable[[Path], None]) -> None:
    store = store_of(made.settings)
    shard = sorted(Path(store.root).glob(f"{kind}.parquet"))[0]
    how(shard)
    damaged = verify_store(store)[1]
    assert [damage.path for damage in damaged] == [str(shard)]
    assert str(shard) in damaged[0].reason
    assert shard.exists()
    assert set_damage_aside(damaged) == [f"{shard}.corrupt"]
    assert not shard.exists()
    assert verify_store(store)[1] == []


def test_shard_under_the_address_of_others_is_damage(made: Any) -> None:
    store = store_of(made.settings)
    one, other = sorted({path.parent for path in Path(store.root).glob("features/*/*.parquet")})[:2]
    moved = next(one.glob("*.parquet")).rename(other / "0000.parquet")
    assert [damage.path for damage in verify_store(store)[1]] == [str(moved)]


@pytest.mark.parametrize("name", ["adam_state.safetensors", "adapter_model.safetensors", "adapter_config.json", "checkpoint.json"])
def test_damaged_checkpoint_is_named_and_trained_again_to_the_same_selection(made: Any, run_stages: Callable[..., Any], name: str) -> None:
    store = store_of(made.settings)
    file = sorted(Path(store.root).glob(f"warmups/*/checkpoint-*/{name}"))[0]
    flip(file)
    (damage,) = verify_store(store)[1]
    assert damage.path == str(file.parent / "checkpoint.json")
    again = run_stages(made.settings)
    assert_same(made, again, 0)
    assert verify_store(store)[1] == []
    assert (file.parent / "checkpoint.json.corrupt").exists()


def test_lost_file_of_a_checkpoint_is_damage(made: Any) -> None:
    store = store_of(made.settings)
    file = sorted(Path(store.root).glob("warmups/*/checkpoint-*/adam_state.safetensors"))[0]
    file.unlink()
    (damage,) = verify_store(store)[1]
    assert damage.path == str(file.parent / "checkpoint.json")
    assert "nothing there" in damage.reason


@pytest.mark.parametrize("how", [flip, Path.unlink])
def test_damaged_file_of_a_trained_model_is_named(made: Any, how: Callable[[Path], None]) -> None:
    store = store_of(made.settings)
    how(Path(store.root) / "trainings/0a/model.safetensors")
    (damage,) = verify_store(store)[1]
    assert damage.path == f"{store.root}/trainings/0a/{RECORD}"
    assert "model.safetensors" in damage.reason


def test_damaged_json_of_an_evaluation_is_named(tmp_path: Path) -> None:
    (tmp_path / "evaluations").mkdir()
    (tmp_path / "evaluations" / "0a.json").write_text('{"loss": 1')
    (damage,) = verify_store(Store(str(tmp_path)))[1]
    assert damage.path == f"{tmp_path}/evaluations/0a.json"


def test_leftovers_and_what_others_put_there_are_not_read(made: Any) -> None:
    store = store_of(made.settings)
    for name in ("features/.a.parquet.0f.tmp", "features/.a.parquet.lock", "features/a.parquet.corrupt", "notes.txt"):
        (Path(store.root) / name).write_bytes(b"no shard")
    assert verify_store(store)[1] == []


def test_damaged_or_lost_file_that_readers_of_a_version_take_is_named(made: Any) -> None:
    read, damaged = verify_results([made.settings.runs])
    assert ([stored.path for stored in read], damaged) == ([made.version.root], [])
    for name in ("selected/t.jsonl", "scores/t.parquet"):
        file = Path(made.version.root) / name
        content = file.read_bytes()
        for how in (flip, Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])):
            how(file)
            (damage,) = verify_results([made.settings.runs])[1]
            assert damage.path == str(file)
            assert str(file) in damage.reason
            file.write_bytes(content)
    for content in ('{"version": ', '{"version": 1}'):
        Path(made.version.basis).write_text(content)
        assert [damage.path for damage in verify_results([made.settings.runs])[1]] == [made.version.basis]
    Path(made.version.record).unlink()  # a version that was never finished is not read
    assert verify_results([made.settings.runs]) == ([], [])
