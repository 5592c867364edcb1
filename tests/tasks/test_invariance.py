"""What must not change a result does not: shards, batches, order, being stopped, a growing pool, a damaged file."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from samples import assert_same, assert_same_files, conversation, write_jsonl

from less_core.changes.correlation import spearman
from less_core.files.whole import list_files
from less_core.refs import FEATURES
from less_core.storage.layout import run_of

FLOAT32 = {"projection": {"dim": 256}, "max_length": 128, "storage": "float32"}


def shards(settings) -> dict[str, bytes]:
    """Every feature shard in the store, by path, with its bytes."""
    return {str(path): path.read_bytes() for path in Path(settings.store).glob("features/*/*.parquet")}


@pytest.mark.parametrize(
    "execution",
    [
        {"shard_size": 1000, "batch_tokens": 256},
        {"shard_size": 7, "batch_tokens": 256},
        {"shard_size": 16, "batch_tokens": 1},
        {"shard_size": 16},
    ],
)
def test_scores_do_not_depend_on_shards_or_batches(make_settings, run_stages, tmp_path, execution) -> None:
    one = run_stages(make_settings(features=FLOAT32))
    other = run_stages(
        make_settings(features=FLOAT32, execution=execution | {"device": "cpu"}, store=str(tmp_path / "other"), name="other")
    )
    assert_same(one, other)


def test_scores_do_not_depend_on_the_order_of_rows_or_pools(make_settings, run_stages, tmp_path) -> None:
    one = run_stages(make_settings())
    for name in ("a", "b"):
        rows = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        random.Random(1).shuffle(rows)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    pools = [{"name": "b", "path": "b.jsonl"}, {"name": "a", "path": "a.jsonl"}]
    other = run_stages(make_settings(pools=pools, store=str(tmp_path / "other"), name="other"))
    assert_same(one, other, tolerance=0)
    assert_same_files(*({Path(path).name: content for path, content in shards(run.settings).items()} for run in (one, other)))


@pytest.mark.parametrize(("storage", "correlation", "share"), [("int8", 0.9995, 0.5), ("sign", 0.9, 1 / 16)])
def test_scores_from_integers_and_bits_rank_as_those_from_floats(
    make_settings, run_stages, tmp_path, storage: str, correlation: float, share: float
) -> None:
    wide = {"projection": {"dim": 4096}, "max_length": 128}
    floats = run_stages(make_settings(features=wide))
    few = run_stages(make_settings(features=wide | {"storage": storage}, name="few", store=str(tmp_path / "few")))
    a, b = floats.scores(), few.scores()
    assert spearman(np.array([a[e] for e in a]), np.array([b[e] for e in a])) > correlation
    pool = [sum(Path(f).stat().st_size for s in r.pool_shards for f in s.files[FEATURES]) for r in (floats, few)]
    assert pool[1] / pool[0] == pytest.approx(share, abs=0.03)  # ids and counts take some, too
    again = run_stages(make_settings(features=wide | {"storage": storage}, name="few", store=str(tmp_path / "few")))
    assert_same(few, again, tolerance=0)


def test_a_run_that_lost_some_shards_computes_these_alone_and_ends_the_same(make_settings, run_stages) -> None:
    settings = make_settings()
    first = run_stages(settings)
    before = shards(settings)
    lost = sorted(before)[::3]
    for path in lost:
        Path(path).unlink()
    second = run_stages(settings)
    assert_same_files(shards(settings), before)
    assert sum(s.computed > 0 for s in second.pool_shards) == sum(
        "/" in p and any(p in s.files[FEATURES] for s in first.pool_shards) for p in lost
    )
    assert_same(first, second, tolerance=0)


def test_a_second_run_computes_nothing(make_settings, run_stages) -> None:
    settings = make_settings()
    first = run_stages(settings)
    before = shards(settings)
    second = run_stages(settings)
    assert second.checkpoints.computed == 0
    assert [s.computed for s in second.pool_shards] == [0] * len(second.pool_shards)
    assert_same_files(shards(settings), before)
    assert_same(first, second, tolerance=0)


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "other"])
def test_a_damaged_shard_is_set_aside_and_computed_again(make_settings, run_stages, damage: str) -> None:
    settings = make_settings()
    first = run_stages(settings)
    before = shards(settings)
    by_checkpoint = [
        [f for s in first.pool_shards for f in s.files[FEATURES] if s.checkpoint == c.fingerprint] for c in first.checkpoints.checkpoints
    ]
    (victim, *_), (donor, *_) = by_checkpoint
    assert Path(victim).name == Path(donor).name
    content = bytearray(before[victim])
    if damage == "truncate":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 3] ^= 1
    elif damage == "empty":
        content = bytearray()
    else:
        content = bytearray(before[donor])  # a whole shard, of another checkpoint
    Path(victim).write_bytes(content)
    second = run_stages(settings)
    assert Path(victim + ".corrupt").read_bytes() == bytes(content)
    assert_same_files(shards(settings), before)
    assert_same(first, second, tolerance=0)


def test_a_pool_that_grew_costs_only_its_new_examples(make_settings, run_stages, tmp_path) -> None:
    first = run_stages(make_settings())
    write_jsonl(tmp_path / "a.jsonl", [conversation(i) for i in [*range(40, 43), *range(30)]])
    frozen = {"checkpoints": [c.folder for c in first.checkpoints.checkpoints]}
    grown = run_stages(make_settings(warmup=frozen))
    assert sum(s.computed for s in grown.pool_shards) == 3 * 2
    anew = run_stages(make_settings(warmup=frozen, store=str(tmp_path / "other"), name="anew"))
    assert_same(grown, anew, tolerance=2e-4)  # float16 in other batches


def test_an_example_that_stands_twice_is_computed_and_selected_once(make_settings, run_stages, tmp_path) -> None:
    write_jsonl(tmp_path / "b.jsonl", [conversation(i) for i in (3, 3, 7, 200, 201)])
    settings = make_settings(selection={"by": "fraction", "amount": 1.0})
    result = run_stages(settings)
    assert sum(s.computed for s in result.pool_shards) == 32 * 2
    assert len(result.selected()) == len(set(result.selected())) == 32


def test_selected_rows_are_the_pools_bytes_best_first(make_settings, run_stages, tmp_path) -> None:
    odd = [
        '{"id": 1,   "messages": [{"role":"user","content":"x"},{"role":"assistant","content":"caf\\u00e9 é"}]}',
        json.dumps(conversation(5)),
    ]
    (tmp_path / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + ("\r\n".join(odd) + "\r\n\r\n").encode())
    result = run_stages(make_settings(selection={"by": "fraction", "amount": 1.0}))
    assert odd[0].encode() in result.selected()
    order = [result.scores()[line] for line in _ids(result)]
    assert order == sorted(order, reverse=True)


def test_examples_without_a_label_or_with_a_broken_gradient_are_never_selected(make_settings, run_stages, tmp_path) -> None:
    long = {"messages": [{"role": "user", "content": "word " * 300}, {"role": "assistant", "content": "yes"}]}
    write_jsonl(tmp_path / "b.jsonl", [long, conversation(5)])
    result = run_stages(make_settings(selection={"by": "fraction", "amount": 1.0}))
    scores = result.scores()
    assert [s for s in scores.values() if s is None] == [None]
    assert len(result.selected()) == len(scores) - 1
    flags = {pool.name: pool for pool in result.influence.pools}
    assert (flags["b"].no_label, flags["b"].truncated, flags["a"].no_label) == (1, 1, 0)


def test_two_targets_are_merged_in_turn_without_repeats(make_settings, run_stages, tmp_path) -> None:
    write_jsonl(tmp_path / "u.jsonl", [conversation(2000)])
    targets = [{"name": "t", "path": "t.jsonl"}, {"name": "u", "path": "u.jsonl"}]
    result = run_stages(make_settings(targets=targets))
    merged, t, u = result.selected("merged"), result.selected("t"), result.selected("u")
    assert len(merged) == len(set(merged)) == 5
    assert merged[0] == t[0]
    assert merged[1] == next(row for row in u if row != t[0])


def test_index_and_scores_leave_no_temporary_files(make_settings, run_stages) -> None:
    settings = make_settings()
    run_stages(settings)
    assert not [p for root in (settings.store, settings.runs) for p in Path(root).rglob("*") if p.name.endswith(".tmp")]
    assert list_files(run_of(settings).published.root + "/scores", ".parquet")


def _ids(result) -> list[str]:
    from less_core.data.rows.shapes import to_example

    return [to_example(json.loads(line)).example_id for line in result.selected()]
