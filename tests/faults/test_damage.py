"""Files torn, flipped and lost, clocks that jump, memory that runs out, numbers that are none: the next run ends right or says why not."""

import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from breaking import DONE, WRONG_INPUT, MemoryRunsOut, Outcome, finish, outcome, start, whole_files
from counts import FULL, Count
from safetensors.torch import load_file, save_file
from samples import conversation, write_jsonl

from less_core.settings.select import SelectSettings
from less_core.storage import versions
from less_core.storage.layout import Store, store_of
from less_core.storage.upkeep.verification import verify_store

pytestmark = pytest.mark.slow

SEEDS = range(16 if FULL else 1)
KINDS = ("examples/*/*.parquet", "features/*/*.parquet", "influence/*/*/*.parquet", "warmups/*/*/*.safetensors", "warmups/*/*/*.json")


def torn(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))])


def flipped(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    place = draw.randrange(8 * len(content))
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


def zeroed(path: Path, draw: random.Random) -> None:
    """A block of zeros, as a disk leaves it that lost power."""
    content = bytearray(path.read_bytes())
    start = draw.randrange(len(content))
    stop = min(len(content), start + 512)
    content[start:stop] = bytes(stop - start)
    path.write_bytes(content)


def lost(path: Path, draw: random.Random) -> None:
    path.unlink()


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_files_of_the_store_are_set_aside_and_made_anew(
    finished: SelectSettings, undisturbed: Outcome, count: Count, seed: int
) -> None:
    draw, store = random.Random(seed), Path(finished.store)
    chosen = [draw.choice(sorted(store.glob(kind))) for kind in KINDS if draw.random() < 0.7]
    for path in chosen:
        draw.choice([torn, flipped, zeroed, lost])(path, draw)
    healthy = {path: found for path, found in whole_files(finished).items() if path not in {str(p.relative_to(store)) for p in chosen}}
    run = start(finished)
    assert run.ended() == DONE, run.said()[-3000:]
    found = outcome(finished)
    spared = {name for name, content in found.shards.items() if content != undisturbed.shards[name]}
    assert spared <= {str(path.relative_to(store)) for path in chosen}
    for name in spared:  # a bit that nothing depends on: a name in a page's header, the time in the footer
        one, other = (pq.read_table(BytesIO(shards[name])) for shards in (found.shards, undisturbed.shards))
        assert one.equals(other)
    assert replace(found, shards=undisturbed.shards) == undisturbed
    assert found.shards.keys() == undisturbed.shards.keys()
    now = whole_files(finished)
    kept = {path for path, found in healthy.items() if path.startswith(("features", "influence", "examples"))}
    assert {path: now[path] for path in kept} == {path: healthy[path] for path in kept}
    assert verify_store(Store(finished.store))[1] == []
    count(corrupted_files=len(chosen), harmless_flips=len(spared), kept=len(kept), runs_compared=1)


def test_every_bit_of_a_shard_that_is_flipped_is_seen_or_harms_nothing(finished: SelectSettings, count: Count) -> None:
    """Page checksums cover the data, two schemas and counts the footer: what passes has the same rows."""
    shard = sorted(Path(finished.store).glob("features/*/*.parquet"))[0]
    whole, rows = shard.read_bytes(), pq.read_table(shard)
    places = random.Random(0).sample(range(8 * len(whole)), 4000 if FULL else 200)
    seen = 0
    for place in places:
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        shard.write_bytes(content)
        if verify_store(Store(finished.store))[1] if FULL and place % 50 == 0 else damaged(shard):
            seen += 1
        else:
            assert pq.read_table(shard).equals(rows)
    shard.write_bytes(whole)
    count(flipped_bits=len(places), seen=seen)


def damaged(shard: Path) -> bool:
    from less_core.errors import CorruptArtifactError
    from less_core.storage.formats.features import read_feature_rows, verify_feature_shard

    try:
        verify_feature_shard(str(shard), shard.parent.name)
        list(read_feature_rows(str(shard)))
    except CorruptArtifactError:
        return True
    return False


def test_checkpoint_that_vanishes_between_two_runs_is_trained_again(finished: SelectSettings, undisturbed: Outcome, count: Count) -> None:
    for folder in list(Path(finished.store).glob("warmups/*/checkpoint-*"))[:1]:
        shutil.rmtree(folder)
    run = start(finished)
    assert run.ended() == DONE, run.said()[-3000:]
    assert outcome(finished) == undisturbed
    count(vanished_checkpoints=1, runs_compared=1)


def test_checkpoint_that_vanishes_in_the_middle_is_a_clear_error_and_the_next_run_goes_on(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, count: Count
) -> None:
    settings = make_case("vanishing", execution={"shard_size": 1, "device": "cpu"})
    run = start(settings)
    while not list(Path(settings.store).glob("features/*/*.parquet")) and run.process.is_alive():
        time.sleep(0.01)
    for folder in Path(settings.store).glob("warmups/*/checkpoint-*"):
        shutil.rmtree(folder)
    code = run.ended()  # a checkpoint that had been read may not be missed
    assert code in (DONE, WRONG_INPUT), run.said()[-3000:]
    if code == WRONG_INPUT:
        assert "checkpoint" in run.said().rpartition("less-flow: ")[2]
    again = start(settings)
    assert again.ended() == DONE, again.said()[-3000:]
    assert outcome(settings).selected == undisturbed.selected
    count(vanished_checkpoints=1, clear_errors=code == WRONG_INPUT, runs_compared=1)


@pytest.mark.parametrize("examples", [4, 1] if FULL else [1])
def test_memory_that_runs_out_halves_batches_and_leaves_the_selection_as_it_is(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, count: Count, examples: int
) -> None:
    settings = make_case(f"memory {examples}")
    run = start(settings, MemoryRunsOut(examples))
    assert run.ended() == DONE, run.said()[-3000:]
    found = outcome(settings)
    assert found.selected == undisturbed.selected
    scores = {row["example_id"]: row["score"] for row in undisturbed.scores}
    assert max(abs(row["score"] - scores[row["example_id"]]) for row in found.scores) < 2e-6  # sums of other batches round otherwise
    count(out_of_memory=1, runs_compared=1)


def test_example_that_alone_does_not_fit_in_memory_is_a_clear_error(
    make_case: Callable[..., SelectSettings], undisturbed: Outcome, count: Count
) -> None:
    settings = make_case("no memory")
    run = start(settings, MemoryRunsOut(0))
    assert run.ended() == WRONG_INPUT, run.said()[-3000:]
    assert "expected" in run.said().rpartition("less-flow: ")[2]
    finish(settings)
    assert outcome(settings) == undisturbed
    count(out_of_memory=1, clear_errors=1, runs_compared=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")] if FULL else [float("nan")])
def test_gradients_that_are_no_numbers_flag_their_examples_and_no_others(
    make_case: Callable[..., SelectSettings], tiny_model: Path, tmp_path: Path, undisturbed: Outcome, count: Count, value: float
) -> None:
    """The model's embedding of one letter is broken: examples with it cannot be judged, all others come out as without them."""
    rows = [conversation(i) for i in range(40)]
    bad = [{"messages": [{"role": "user", "content": f"Ω{i}"}, {"role": "assistant", "content": "Ω one"}]} for i in range(3)]
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    weights = load_file(model / "model.safetensors")
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(model)("Ω", add_special_tokens=False)["input_ids"]
    weights["model.embed_tokens.weight"][tokens[0]] = value
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    settings = make_case("odd numbers", pools=[{"name": "a", "path": "odd.jsonl"}], model={**_model(make_case), "path": str(model)})
    settings = settings.model_copy(update={"warmup": settings.warmup.model_copy(update={"kind": "random"})})
    write_jsonl(tmp_path / "odd.jsonl", rows + bad)
    finish(settings)
    found = {row["example_id"]: row for row in outcome(settings).scores}
    write_jsonl(tmp_path / "odd.jsonl", rows)
    finish(settings)
    clean = {row["example_id"]: row for row in outcome(settings).scores}
    odd = [row for row in found.values() if row["status"] == "nonfinite"]
    assert len(odd) == len(bad)
    assert all(row["score"] is None for row in odd)
    for example, row in clean.items():
        assert row["status"] == "ok"
        assert found[example]["score"] == pytest.approx(row["score"], abs=2e-6)
    count(nonfinite_gradients=len(bad), runs_compared=1)


def _model(make_case: Callable[..., SelectSettings]) -> dict[str, Any]:
    return make_case("any").model.model_dump()


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=4000)])
def test_clock_that_jumps_leaves_the_newest_version_published_and_the_store_whole(
    make_settings: Callable[..., SelectSettings],
    run_stages: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    count: Count,
    jump: timedelta,
) -> None:
    settings = make_settings()
    first = run_stages(settings)
    write_jsonl(tmp_path / "b.jsonl", [conversation(i) for i in range(300, 330)])

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: Any = UTC) -> datetime:
            return datetime.now(tz) + jump

    with monkeypatch.context() as patched:
        patched.setattr(versions, "datetime", Jumped)
        patched.setattr(time, "time", lambda now=time.time: now() + jump.total_seconds())
        second = run_stages(settings)
    published = versions.current_version(versions.Run(f"{settings.runs}/{settings.name}"))
    assert published == second.version
    assert second.changes is not None  # told against the version before, whatever the names say
    third = run_stages(settings)
    assert third.selected() == second.selected()
    assert first.version in versions.list_versions(versions.Run(f"{settings.runs}/{settings.name}"))
    assert verify_store(store_of(settings))[1] == []
    count(clock_jumps=1, runs_compared=1)


def test_infinity_in_a_checkpoint_that_is_given_is_a_clear_error_or_flags_all(
    finished: SelectSettings, make_case: Callable[..., SelectSettings], tmp_path: Path, count: Count
) -> None:
    """Weights that overflowed while training elsewhere: every gradient is no number, and nothing can be selected."""
    from less_core.storage.formats.checkpoints import read_checkpoint, write_checkpoint

    checkpoint = read_checkpoint(str(sorted(Path(finished.store).glob("warmups/*/checkpoint-*"))[0]))
    for tensor in checkpoint.adapter.values():
        tensor.fill_(torch.inf)
    write_checkpoint(str(tmp_path / "overflowed"), checkpoint)
    settings = make_case("overflowed", warmup={"checkpoints": [str(tmp_path / "overflowed")]})
    run = start(settings)
    assert run.ended() == WRONG_INPUT, run.said()[-3000:]
    assert "finite" in run.said().rpartition("less-flow: ")[2]
    count(nonfinite_gradients=1, clear_errors=1)
