"""Exact influence in whole runs: the oracle without a projection, shards in the store, groups of targets, and the shortlist."""

from pathlib import Path

import pytest
import torch
from oracle import oracle
from samples import assert_same, assert_same_files, conversation, write_jsonl

from less_core.files.whole import list_files
from less_core.refs import FEATURES
from tasks.exact import read_parts

FEATURES_OF_TESTS = {"projection": {"dim": 256}, "max_length": 128, "storage": "float32"}


def products(settings) -> dict[str, bytes]:
    """Every shard of exact influence in the store, by path, with its bytes."""
    return {str(path): path.read_bytes() for path in Path(settings.store).glob("influence/*/*/*.parquet")}


@pytest.mark.parametrize("gradient", ["adam", "sgd", "sign"])
@pytest.mark.parametrize("fidelity", ["less-code", "paper"])
def test_exact_scores_equal_the_literal_oracle_without_a_projection(make_settings, run_stages, gradient: str, fidelity: str) -> None:
    features = FEATURES_OF_TESTS | {"gradient": gradient, "fidelity": fidelity}
    result = run_stages(make_settings(features=features, influence={"scoring": "exact"}))
    expected = oracle(result.settings, result.model, result.checkpoints)
    scores = result.scores()
    assert scores.keys() == expected.keys()
    # Model and products are float32 here and float64 there: a few roundings of 6e-8, and no projection noise at all.
    spread = max(expected.values()) - min(expected.values())
    assert max(abs(scores[e] - expected[e]) for e in scores) <= 2e-5 * spread


def test_exact_and_features_come_out_of_one_pass_and_features_are_those_of_a_run_without(make_settings, run_stages, tmp_path) -> None:
    alone = run_stages(make_settings())
    both = run_stages(make_settings(influence={"scoring": "exact"}, store=str(tmp_path / "other"), name="both"))
    assert [s.computed for s in both.pool_shards] == [s.computed for s in alone.pool_shards]
    of = [{Path(p).name: Path(p).read_bytes() for p in list_files(r.settings.store + "/features", ".parquet")} for r in (alone, both)]
    assert_same_files(*of)
    assert products(both.settings)
    assert not products(alone.settings)


def test_exact_scoring_may_leave_the_features_out(make_settings, run_stages) -> None:
    result = run_stages(make_settings(influence={"scoring": "exact", "keep_features": False}))
    assert all(FEATURES not in s.files for s in result.pool_shards)
    again = run_stages(make_settings(influence={"scoring": "exact"}, name="again"))  # the features alone are missing
    assert sum(s.computed for s in again.pool_shards) == 100
    assert_same(result, again, tolerance=0)


def test_a_second_run_multiplies_nothing_and_a_lost_shard_is_made_alone(make_settings, run_stages) -> None:
    settings = make_settings(influence={"scoring": "exact"})
    first = run_stages(settings)
    before = products(settings)
    second = run_stages(settings)
    assert [s.computed for s in second.pool_shards] == [0] * len(second.pool_shards)
    victim, damaged = sorted(before)[:2]
    Path(victim).unlink()
    Path(damaged).write_bytes(before[damaged][:-9])
    third = run_stages(settings)
    assert sum(s.computed > 0 for s in third.pool_shards) == 2
    assert_same_files(products(settings), before)
    assert Path(damaged + ".corrupt").exists()
    assert_same(first, third, tolerance=0)


def test_a_pool_that_grew_costs_only_its_new_examples(make_settings, run_stages, tmp_path) -> None:
    first = run_stages(make_settings(influence={"scoring": "exact"}))
    write_jsonl(tmp_path / "a.jsonl", [conversation(i) for i in [*range(40, 43), *range(30)]])
    frozen = {"checkpoints": [c.folder for c in first.checkpoints.checkpoints]}
    grown = run_stages(make_settings(influence={"scoring": "exact"}, warmup=frozen))
    assert sum(s.computed for s in grown.pool_shards) == 3 * 2
    anew = run_stages(make_settings(influence={"scoring": "exact"}, warmup=frozen, store=str(tmp_path / "other"), name="anew"))
    assert_same(grown, anew)


def test_a_new_target_costs_a_pass_and_leaves_the_old_ones_products(make_settings, run_stages, tmp_path) -> None:
    first = run_stages(make_settings(influence={"scoring": "exact"}))
    before = products(first.settings)
    write_jsonl(tmp_path / "u.jsonl", [conversation(2000)])
    targets = [{"name": "t", "path": "t.jsonl"}, {"name": "u", "path": "u.jsonl"}]
    second = run_stages(make_settings(influence={"scoring": "exact"}, targets=targets))
    after = products(second.settings)
    assert before.items() < after.items()
    assert len(after) == 2 * len(before)
    assert first.scores() == second.scores()


def test_groups_of_subtasks_give_the_scores_of_one_and_bfloat16_nearly(make_settings, run_stages, tmp_path) -> None:
    whole = run_stages(make_settings(influence={"scoring": "exact"}))
    coordinates = sum(x.numel() for x in _adapter(whole).values())
    found = {}
    for name, gradients in (("bfloat16", 2), ("groups", 1)):  # two subtasks in float32 would take four times the second
        influence = {"scoring": "exact", "target_memory": gradients * coordinates * 2.1 / 1e9}
        found[name] = run_stages(make_settings(influence=influence, store=str(tmp_path / name), name=name))
    parts = {name: read_parts(result.version.target_parts) for name, result in found.items()}
    assert [[p.group for p in parts[name]] for name in ("bfloat16", "groups")] == [[0], [0, 1]]
    assert all(part.dtype == "bfloat16" for of in parts.values() for part in of)
    assert_same(found["bfloat16"], found["groups"], tolerance=1e-6)
    a, b = whole.scores(), found["groups"].scores()
    # A coordinate is off by up to 2^-9 of itself, each by its own: a cosine over n of them by about 2^-9 / sqrt(n), here 7e-5, up to
    # some times that.
    assert max(abs(a[e] - b[e]) for e in a) <= 4e-4


def test_dot_products_are_exact_too(make_settings, run_stages) -> None:
    settings = make_settings(
        influence={"scoring": "exact", "similarity": "dot"}, features=FEATURES_OF_TESTS | {"projection": {"dim": 65536}}
    )
    exact = run_stages(settings).scores()
    wide = run_stages(
        make_settings(influence={"similarity": "dot"}, features=FEATURES_OF_TESTS | {"projection": {"dim": 65536}}, name="wide")
    ).scores()
    # 65,536 bins for a few thousand coordinates: hardly any meet, so the sketch is nearly exact.
    ids = sorted(exact)
    pair = torch.tensor([[exact[e] for e in ids], [wide[e] for e in ids]])
    assert torch.corrcoef(pair)[0, 1] > 0.999
    assert float((pair[0] - pair[1]).norm() / pair[0].norm()) < 0.05


def test_rerank_scores_the_shortlist_exactly_and_selects_from_it_alone(make_settings, run_stages) -> None:
    exact = run_stages(make_settings(influence={"scoring": "exact"})).scores()
    sketch = run_stages(make_settings(name="sketch")).scores()
    result = run_stages(make_settings(influence={"scoring": "rerank", "shortlist": 0.2}, name="rerank"))
    scores = result.scores()
    best = sorted(sketch, key=lambda e: (-sketch[e], e))[:10]
    assert {e for e, s in scores.items() if s is not None} == set(best)
    assert all(scores[e] == pytest.approx(exact[e], abs=2e-6) for e in best)
    assert len(result.selected()) == 5


def test_flagged_examples_are_flagged_by_exact_scores_too(make_settings, run_stages, tmp_path) -> None:
    long = {"messages": [{"role": "user", "content": "word " * 300}, {"role": "assistant", "content": "yes"}]}
    write_jsonl(tmp_path / "b.jsonl", [long, conversation(5)])
    result = run_stages(make_settings(selection={"by": "fraction", "amount": 1.0}, influence={"scoring": "exact"}))
    scores = result.scores()
    assert [s for s in scores.values() if s is None] == [None]
    assert len(result.selected()) == len(scores) - 1


def _adapter(result):
    from less_core.storage.formats.checkpoints import read_checkpoint

    return read_checkpoint(result.checkpoints.checkpoints[0].folder).adapter
