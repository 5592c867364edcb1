"""Whole runs of every method, rule and ablation, against literal statements that take from the code under test nothing but reading."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from samples import WORDS, assert_same, conversation, write_jsonl
from torch import Tensor
from transformers import AutoModelForCausalLM

from less_core.data.pools import open_pool
from less_core.data.rows.shapes import to_example
from less_core.data.targets import load_target
from less_core.errors import ConfigError, NonFiniteGradientError
from less_core.method.narrowing import narrow
from less_core.model.losses import IGNORE
from less_core.storage.formats.checkpoints import read_checkpoint
from less_core.storage.formats.examples import iterate_run_index
from less_core.storage.formats.features import read_feature_rows
from less_core.storage.formats.manifest import read_manifest
from less_core.storage.formats.scores import iterate_scores
from tasks.encode import _encoder
from tasks.prepare import read_pool

pytestmark = pytest.mark.slow

METHODS = ("less", "random", "bm25", "dsir", "rds", "rds+", "perplexity")
FLOAT32 = {"projection": {"dim": 256}, "max_length": 128, "storage": "float32"}
ON_CPU = {"batch_tokens": 256, "device": "cpu"}
COUNT, TOKENS = {"by": "count", "amount": 8}, {"by": "tokens", "amount": 230}


def ids(result, target: str = "t") -> list[str]:
    return [to_example(json.loads(line)).example_id for line in result.selected(target)]


def rows(result, target: str = "t") -> list[dict[str, Any]]:
    return [row for table in iterate_scores(result.version.scores(target)) for row in table.to_pylist()]


def best_first(rows: list[dict[str, Any]], column: str = "score") -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (-row[column], row["example_id"]))


def passed_over(result) -> dict[str, int]:
    """What the selection says that it left out: how many, by the reason."""
    phrases = [phrase.partition(" ") for phrase in result.selections[0].passed_over]
    return {reason: int(count) for count, _, reason in phrases}


def fill(candidates: Iterator[dict[str, Any]], budget: dict[str, Any]) -> list[str]:
    """Take from the front until the budget is full; of tokens, what no longer fits is passed over."""
    taken: list[dict[str, Any]] = []
    for row in candidates:
        if budget["by"] == "tokens" and sum(t["num_tokens"] for t in taken) + row["num_tokens"] > budget["amount"]:
            continue
        taken.append(row)
        if budget["by"] == "count" and len(taken) == budget["amount"]:
            break
    return [row["example_id"] for row in taken]


# Every method


@pytest.mark.parametrize("method", METHODS)
def test_every_method_scores_the_pool_and_selects_the_budget_of_original_rows_best_first(
    make_settings, run_stages, tmp_path, method: str
) -> None:
    result = run_stages(make_settings(method=method))
    pool = [line.encode() for name in ("a", "b") for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
    assert sorted(result.scores()) == sorted(to_example(json.loads(line)).example_id for line in pool)
    assert len(result.selected()) == len(set(result.selected())) == result.selections[0].selected == 5
    assert set(result.selected()) <= set(pool)
    assert result.selections[0].tokens == sum(row["num_tokens"] for row in rows(result) if row["example_id"] in ids(result))
    if method != "rds+":  # which takes turns
        assert ids(result) == [row["example_id"] for row in best_first(rows(result))][:5]
    assert result.selections[0].threshold == pytest.approx(min(_ranked_by(result, example_id) for example_id in ids(result)))


def _ranked_by(result, example_id: str) -> float:
    """The score that an example was taken by: of rds+, that of the target example whose turn it was."""
    (row,) = [row for row in rows(result) if row["example_id"] == example_id]
    if result.settings.method != "rds+":
        return row["score"]
    subtasks = result.influence.scores[0].subtasks
    return row[f"subtask/{subtasks[ids(result).index(example_id) % len(subtasks)]}"]


@pytest.mark.parametrize("method", METHODS)
def test_no_method_depends_on_shards_or_on_the_order_of_rows_and_pools(make_settings, run_stages, tmp_path, method: str) -> None:
    one = run_stages(make_settings(method=method, features=FLOAT32, execution=ON_CPU | {"shard_size": 1000}))
    four = run_stages(
        make_settings(method=method, features=FLOAT32, execution=ON_CPU | {"shard_size": 13}, store=str(tmp_path / "four"), name="four")
    )
    assert [len(list(iterate_run_index(result.version.index("pool")))) for result in (one, four)] == [1, 4]
    for name in ("a", "b"):
        lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        random.Random(1).shuffle(lines)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    pools = [{"name": "b", "path": "b.jsonl"}, {"name": "a", "path": "a.jsonl"}]
    shuffled = run_stages(make_settings(method=method, features=FLOAT32, pools=pools, store=str(tmp_path / "shuffled"), name="shuffled"))
    tolerance = 2e-6 if method in ("less", "rds", "rds+") else 0
    assert_same(one, four, tolerance)
    assert_same(one, shuffled, tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_selects_an_example_without_a_label(make_settings, run_stages, tmp_path, method: str) -> None:
    long = {"messages": [{"role": "user", "content": "word " * 300}, {"role": "assistant", "content": "yes"}]}
    write_jsonl(tmp_path / "b.jsonl", [long, conversation(5)])
    result = run_stages(make_settings(method=method, selection={"by": "fraction", "amount": 1.0}))
    (without,) = [row for row in rows(result) if row["score"] is None]
    assert (without["example_id"], without["status"]) == (to_example(long).example_id, "no_label")
    assert sorted(ids(result)) == sorted(result.scores().keys() - {without["example_id"]})
    assert {pool.name: pool.no_label for pool in result.influence.pools} == {"a": 0, "b": 1}


@pytest.mark.parametrize("method", ["random", "bm25", "dsir", "rds", "rds+", "perplexity"])
def test_a_method_without_gradients_trains_nothing_and_computes_no_feature_again(make_settings, run_stages, method: str) -> None:
    first, second = run_stages(make_settings(method=method)), run_stages(make_settings(method=method))
    assert list(Path(first.settings.store).glob("warmups/*")) == []
    assert first.checkpoints.warmup is None
    assert sum(shard.computed for shard in first.pool_shards) == (0 if method in ("random", "bm25", "dsir") else 50)
    assert sum(shard.computed for shard in second.pool_shards) == 0
    assert_same(first, second, tolerance=0)


def test_perplexity_takes_its_losses_from_the_features_of_rds(make_settings, run_stages) -> None:
    run_stages(make_settings(method="rds"))
    assert sum(shard.computed for shard in run_stages(make_settings(method="perplexity")).pool_shards) == 0


# Oracles


def hidden(result) -> tuple[dict[str, Tensor], list[Tensor], list[str], dict[str, float]]:
    """The base model's last hidden states, one example at a time: the pool's by id, the target's in order. Subtasks; the pool's losses."""
    settings, ref = result.settings, result.model
    model = AutoModelForCausalLM.from_pretrained(settings.model.path, dtype=torch.float32).eval()
    encoder = _encoder(ref.folder, ref.template, ref.max_length, ref.encoding)
    pool = encoder.encode([to_example(row.value) for p in settings.pools for row in open_pool(settings, p.name).rows()])
    target = load_target(settings, settings.target("t"))
    states, losses = [], []
    for example in [*pool, *encoder.encode(target.examples)]:
        token_ids = torch.tensor([example.input_ids])
        labels = torch.where(torch.tensor([example.label_mask]), token_ids, IGNORE)
        with torch.no_grad():
            out = model(input_ids=token_ids, labels=labels, output_hidden_states=True)
        states.append(out.hidden_states[-1][0].double())
        losses.append(float(out.loss))
    names = [example.example_id for example in pool]
    return dict(zip(names, states, strict=False)), states[len(pool) :], list(target.subtasks), dict(zip(names, losses, strict=False))


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (torch.linalg.norm(a) * torch.linalg.norm(b)))


def test_rds_is_the_best_mean_cosine_of_last_tokens_states_in_a_subtask(make_settings, run_stages) -> None:
    result = run_stages(make_settings(method="rds", features=FLOAT32))
    pool, target, subtasks, _ = hidden(result)
    expected = {}
    for example_id, states in pool.items():
        means = []
        for subtask in ("even", "odd"):
            cosines = [cosine(states[-1], other[-1]) for other, name in zip(target, subtasks, strict=True) if name == subtask]
            means.append(sum(cosines) / len(cosines))
        expected[example_id] = max(means)
    assert result.scores() == pytest.approx(expected, abs=2e-6)
    assert ids(result) == sorted(expected, key=lambda e: (-expected[e], e))[:5]


def weighted_mean(states: Tensor) -> Tensor:
    return sum(position * state for position, state in enumerate(states, 1)) / sum(range(1, len(states) + 1))


def test_rds_plus_takes_the_best_of_each_target_example_in_turn_by_weighted_mean_states(make_settings, run_stages) -> None:
    result = run_stages(make_settings(method="rds+", features=FLOAT32, selection={"by": "count", "amount": 12}))
    pool, target, _, _ = hidden(result)
    cosines = {e: [cosine(weighted_mean(states), weighted_mean(other)) for other in target] for e, states in pool.items()}
    assert result.scores() == pytest.approx({example_id: max(values) for example_id, values in cosines.items()}, abs=2e-6)
    taken: list[str] = []
    while len(taken) < 12:
        turn = len(taken) % len(target)
        taken.append(min(cosines.keys() - set(taken), key=lambda e: (-cosines[e][turn], e)))
    assert ids(result) == taken


def test_perplexity_scores_the_middle_of_the_losses_highest(make_settings, run_stages) -> None:
    result = run_stages(make_settings(method="perplexity", selection={"by": "count", "amount": 6}))
    losses = hidden(result)[3]
    order = sorted(losses, key=lambda e: losses[e])
    middle = (len(order) - 1) / 2
    assert result.scores() == pytest.approx({e: -abs(order.index(e) - middle) / (len(order) / 2) for e in losses}, abs=1e-6)
    assert sorted(ids(result)) == sorted(order[22:28])


@pytest.mark.parametrize("method", ["random", "dsir"])
def test_methods_that_draw_depend_on_the_seed_and_on_the_target(make_settings, run_stages, tmp_path, method: str) -> None:
    for name, marks in (("a", range(30)), ("b", range(30, 50))):  # the same words in all: DSIR's weights are equal
        write_jsonl(tmp_path / f"{name}.jsonl", [{"prompt": "red dog" + "!" * mark, "completion": "one"} for mark in marks])
    write_jsonl(tmp_path / "u.jsonl", [conversation(i) for i in range(1000, 1005)])
    targets = [{"name": "t", "path": "t.jsonl"}, {"name": "u", "path": "u.jsonl"}]
    one, again, other = (run_stages(make_settings(method=method, targets=targets, seed=seed)) for seed in (0, 0, 1))
    assert_same(one, again, tolerance=0)
    assert set(one.scores().values()).isdisjoint(other.scores().values())
    assert one.selected("t") != other.selected("t")
    assert one.selected("t") != one.selected("u")  # targets alike in all but name


@pytest.mark.parametrize("method", ["bm25", "rds", "perplexity"])
def test_methods_that_draw_nothing_do_not_depend_on_the_seed(make_settings, run_stages, method: str) -> None:
    assert_same(*(run_stages(make_settings(method=method, seed=seed)) for seed in (0, 1)), tolerance=0)


def test_bm25_and_dsir_prefer_the_words_of_the_target(make_settings, run_stages, tmp_path) -> None:
    def about(words: list[str], seed: int) -> dict[str, Any]:
        drawn = random.Random(seed).choices(words, k=40)
        return {"messages": [{"role": "user", "content": " ".join(drawn[:20])}, {"role": "assistant", "content": " ".join(drawn[20:])}]}

    write_jsonl(tmp_path / "a.jsonl", [about(WORDS[:8], seed) for seed in range(10)])
    write_jsonl(tmp_path / "b.jsonl", [about(WORDS[8:], seed) for seed in range(10, 40)])
    write_jsonl(tmp_path / "t.jsonl", [about(WORDS[:8], seed) for seed in range(50, 55)])
    for method in ("bm25", "dsir"):
        result = run_stages(make_settings(method=method, selection={"by": "count", "amount": 10}))
        assert {row["pool"] for row in rows(result) if row["example_id"] in ids(result)} == {"a"}


# Selection


@pytest.fixture(params=[64, 3])
def least(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rankings as long as they are made at first, and so short that they are made anew again and again."""
    monkeypatch.setattr("tasks.selection.LEAST", request.param)
    return request.param


@pytest.mark.parametrize("budget", [COUNT, TOKENS, {"by": "count", "amount": 50}])
@pytest.mark.parametrize("rule", ["round_robin_subtasks", "round_robin_examples"])
def test_round_robin_takes_the_best_of_each_column_in_turn(
    make_settings, run_stages, least: int, rule: str, budget: dict[str, Any]
) -> None:
    result = run_stages(make_settings(method="bm25", selection=budget | {"rule": rule}))
    subtasks = result.influence.scores[0].subtasks
    assert len(subtasks) == (2 if rule == "round_robin_subtasks" else 5)

    def turns() -> Iterator[dict[str, Any]]:
        left = [best_first(rows(result), f"subtask/{subtask}") for subtask in subtasks]
        given: set[str] = set()
        while any(left):
            for ranking in left:
                while ranking and ranking[0]["example_id"] in given:
                    ranking.pop(0)
                if ranking:
                    given.add(ranking[0]["example_id"])
                    yield ranking.pop(0)

    assert ids(result) == fill(turns(), budget)
    best = run_stages(make_settings(method="bm25", selection=budget, name="top"))
    assert ids(best) != ids(result)


@pytest.mark.parametrize("budget", [COUNT, TOKENS])
def test_a_quota_bounds_the_share_of_a_pool_and_counts_what_it_passed_over(
    make_settings, run_stages, least: int, budget: dict[str, Any]
) -> None:
    pools = [{"name": "a", "path": "a.jsonl", "quota": 0.25}, {"name": "b", "path": "b.jsonl"}]
    result = run_stages(make_settings(method="random", pools=pools, selection=budget))
    room, left, taken, over = budget["amount"] // 4, budget["amount"], [], Counter()
    for row in best_first(rows(result)):
        cost = 1 if budget["by"] == "count" else row["num_tokens"]
        if cost > left:
            continue
        if row["pool"] == "a" and cost > room:
            over["over the quota of pool a"] += 1
            continue
        taken.append(row["example_id"])
        left, room = left - cost, room - cost * (row["pool"] == "a")
    assert ids(result) == taken
    assert passed_over(result) == over
    assert over.total() > 0


def test_quotas_that_leave_no_room_at_all_are_a_config_error(make_settings, run_stages) -> None:
    pools = [{"name": name, "path": f"{name}.jsonl", "quota": 0.1} for name in ("a", "b")]
    with pytest.raises(
        ConfigError, match=r"selection for t: expected a budget that holds at least one example, got 5 count with these quotas"
    ):
        run_stages(make_settings(method="random", pools=pools))


def test_quotas_hold_for_the_merged_selection_too(make_settings, run_stages, tmp_path) -> None:
    write_jsonl(tmp_path / "u.jsonl", [conversation(2000)])
    targets = [{"name": "t", "path": "t.jsonl"}, {"name": "u", "path": "u.jsonl"}]
    pools = [{"name": "a", "path": "a.jsonl", "quota": 0.25}, {"name": "b", "path": "b.jsonl"}]
    result = run_stages(make_settings(method="random", targets=targets, pools=pools, selection=COUNT))
    pool_of = {row["example_id"]: row["pool"] for row in rows(result)}
    for name in ("t", "u", "merged"):
        assert Counter(pool_of[example_id] for example_id in ids(result, name)) == {"a": 2, "b": 6}


LONG = " ".join(random.Random(7).choices(WORDS, k=80))


def say(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": text}]}


@pytest.mark.parametrize("budget", [{"by": "fraction", "amount": 1.0}, {"by": "tokens", "amount": 100_000}])
def test_of_rows_that_differ_in_a_word_only_the_best_is_selected(
    make_settings, run_stages, tmp_path, least: int, budget: dict[str, Any]
) -> None:
    alike = [say(LONG), say(LONG + " indeed"), say(LONG.replace(LONG.split()[40], "so", 1))]
    write_jsonl(tmp_path / "b.jsonl", [*alike, *(conversation(i) for i in range(100, 110)), say(" ".join(reversed(LONG.split())))])
    result = run_stages(make_settings(method="random", selection=budget | {"near_duplicates": 0.7}))
    same = {to_example(row).example_id for row in alike}
    assert ids(result) == [
        row["example_id"]
        for row in best_first(rows(result))
        if row["example_id"] not in same or row["example_id"] == max(same, key=lambda e: result.scores()[e])
    ]
    assert passed_over(result) == {"nearly the same as a better one (Jaccard 0.7)": 2}
    kept = run_stages(make_settings(method="random", selection=budget, name="kept"))
    assert same <= set(ids(kept))
    assert passed_over(kept) == {}


def test_near_duplicates_are_made_up_for_within_the_budget(make_settings, run_stages, tmp_path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [say(f"{LONG} {word}") for word in WORDS])
    write_jsonl(tmp_path / "b.jsonl", [conversation(i) for i in range(100, 120)])
    result = run_stages(make_settings(method="random", selection=COUNT | {"near_duplicates": 0.7}))
    pool_of = {row["example_id"]: row["pool"] for row in rows(result)}
    assert Counter(pool_of[example_id] for example_id in ids(result)) == {"a": 1, "b": 7}


@pytest.mark.parametrize("budget", [COUNT, TOKENS])
def test_only_examples_within_the_bounds_of_tokens_are_selected_and_the_others_are_counted(
    make_settings, run_stages, budget: dict[str, Any]
) -> None:
    result = run_stages(make_settings(method="random", selection=budget | {"min_tokens": 25, "max_tokens": 33}))
    lengths = [row["num_tokens"] for row in rows(result)]
    assert {25, 33} <= set(lengths)  # both bounds are within
    within = (row for row in best_first(rows(result)) if 25 <= row["num_tokens"] <= 33)
    assert ids(result) == fill(within, budget)
    assert passed_over(result) == {"too short": sum(n < 25 for n in lengths), "too long": sum(n > 33 for n in lengths)}


def test_bounds_that_leave_no_example_are_an_error_that_says_so(make_settings, run_stages) -> None:
    with pytest.raises(NonFiniteGradientError, match="expected an example with a score that may be selected, got none"):
        run_stages(make_settings(method="random", selection=COUNT | {"min_tokens": 1000}))


@pytest.mark.parametrize("budget", [COUNT, TOKENS, {"by": "fraction", "amount": 1.0}])
@pytest.mark.parametrize("contaminated", ["report", "exclude", "ignore"])
def test_copies_of_target_examples_are_reported_excluded_or_not_looked_for(
    make_settings, run_stages, tmp_path, contaminated: str, budget: dict[str, Any]
) -> None:
    write_jsonl(tmp_path / "t.jsonl", [conversation(i) | {"subtask": f"{i}"} for i in range(1000, 1005)])
    copied = conversation(1002)
    write_jsonl(tmp_path / "b.jsonl", [conversation(100), copied, conversation(101), {**copied, "source": "again"}])
    result = run_stages(make_settings(method="bm25", selection=budget | {"contaminated": contaminated}))
    copy = to_example(copied).example_id
    assert best_first(rows(result))[0]["example_id"] == copy  # whoever has the answers looks best
    allowed = (row for row in best_first(rows(result)) if contaminated != "exclude" or row["example_id"] != copy)
    assert ids(result) == fill(allowed, budget)
    assert passed_over(result) == ({"copies of target examples": 1} if contaminated == "exclude" else {})
    copies = {pool.name: read_pool.fn(result.settings, result.version, pool).copies for pool in result.settings.pools}
    assert copies == {"a": 0, "b": 0 if contaminated == "ignore" else 2}  # rows, not examples


# Ablations


@pytest.mark.parametrize("kind", ["base", "random"])
def test_without_a_training_there_is_one_checkpoint_of_an_adapter_as_it_was_drawn(make_settings, run_stages, kind: str) -> None:
    warmup = {"kind": kind, "seed": 3}
    result, again = run_stages(make_settings(warmup=warmup)), run_stages(make_settings(warmup=warmup))
    (checkpoint,) = result.checkpoints.checkpoints
    assert (checkpoint.step, checkpoint.learning_rate, checkpoint.weight) == (0, 0.0, 1.0)
    state = read_checkpoint(checkpoint.folder)
    assert {name: bool(tensor.any()) for name, tensor in state.adapter.items()} == {
        name: kind == "random" or "lora_A" in name for name in state.adapter
    }
    assert not any(moment.any() for moments in (state.adam.first_moment, state.adam.second_moment) for moment in moments.values())
    assert len(result.selected()) == 5
    assert result.scores() == pytest.approx(literal(result, [1.0]), abs=1e-5)
    assert sum(shard.computed for shard in again.pool_shards) == 0
    assert_same(result, again, tolerance=0)
    other = run_stages(make_settings(warmup=warmup | {"seed": 4}))
    assert other.checkpoints.checkpoints[0].fingerprint != checkpoint.fingerprint


Vectors = dict[str, tuple[Tensor, float]]


def stored(result, side: str, view: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> list[Vectors]:
    """For each checkpoint the features and norms of a side's examples, as the store has them and `view` makes them."""
    manifest, found = read_manifest(result.version.features(side)).files, []
    for checkpoint in result.checkpoints.checkpoints:
        at: Vectors = {}
        for path in [path for files in manifest[checkpoint.fingerprint] for path in files]:
            for group in read_feature_rows(path):
                features, norms = view(group.features.floats(), group.norms)
                at |= {e: (features[i].double(), float(norms[i])) for i, e in enumerate(group.example_ids.to_pylist())}
        found.append(at)
    return found


def literal(result, weights: list[float], *, dot: bool = False, paper: bool = False, view=lambda features, norms: (features, norms)):
    """Scores by loops over pool examples, subtasks, checkpoints and target examples."""
    target = load_target(result.settings, result.settings.target("t"))
    pool, wanted = stored(result, "pool", view), stored(result, "target", view)
    scores: dict[str, float] = {}
    for example_id in pool[0]:
        by_subtask: dict[str, float] = defaultdict(float)
        for subtask in set(target.subtasks):
            members = [e.example_id for e, name in zip(target.examples, target.subtasks, strict=True) if name == subtask]
            for at_pool, at_target, weight in zip(pool, wanted, weights, strict=True):
                feature, norm = at_pool[example_id]
                if dot:
                    value = sum(float(norm * feature @ (at_target[m][1] * at_target[m][0])) for m in members) / len(members)
                elif paper:
                    mean = sum(at_target[m][1] * at_target[m][0] for m in members) / len(members)
                    value = float(feature @ mean / torch.linalg.norm(mean))
                else:
                    value = sum(float(feature @ at_target[m][0]) for m in members) / len(members)
                by_subtask[subtask] += weight * value
        scores[example_id] = max(by_subtask.values())
    return scores


def assert_scores(result, expected: dict[str, float]) -> None:
    spread = max(expected.values()) - min(expected.values())
    assert result.scores() == pytest.approx(expected, abs=1e-5 * spread, rel=1e-5)
    assert ids(result) == sorted(expected, key=lambda e: (-expected[e], e))[:5]


def test_one_of_the_checkpoints_scores_as_if_there_were_no_other(make_settings, run_stages) -> None:
    alone = run_stages(make_settings(influence={"checkpoints": [2]}, features=FLOAT32))
    (checkpoint,) = alone.checkpoints.checkpoints
    assert (checkpoint.number, checkpoint.of, checkpoint.weight) == (2, 2, 1.0)
    assert sum(shard.computed for shard in alone.pool_shards) == 50  # of the other none
    assert_scores(alone, literal(alone, [1.0]))
    both = run_stages(make_settings(features=FLOAT32, name="both"))
    assert both.checkpoints.checkpoints[1].fingerprint == checkpoint.fingerprint
    assert sum(shard.computed for shard in both.pool_shards) == 50
    rates = [c.learning_rate for c in both.checkpoints.checkpoints]
    assert rates[0] > rates[1] > 0
    assert_scores(both, literal(both, [rate / sum(rates) for rate in rates]))


def test_the_order_in_which_checkpoints_are_named_does_not_matter(make_settings, run_stages) -> None:
    one, other = (run_stages(make_settings(influence={"checkpoints": numbers}, features=FLOAT32)) for numbers in ([1, 2], [2, 1]))
    assert_same(one, other, tolerance=1e-6)


@pytest.mark.parametrize(
    ("warmup", "numbers", "expected"),
    [({"fraction": 0.3, "epochs": 2, "batch_size": 4}, [1, 3], "numbers from 1 to 2"), ({"kind": "base"}, [2], "numbers from 1 to 1")],
)
def test_a_checkpoint_that_the_warmup_has_not_is_a_config_error(
    make_settings, run_stages, warmup: dict[str, Any], numbers: list[int], expected: str
) -> None:
    with pytest.raises(ConfigError, match=rf"influence.checkpoints: expected {expected}, got {re.escape(str(numbers))}"):
        run_stages(make_settings(warmup=warmup, influence={"checkpoints": numbers}))


def test_uniform_weights_score_checkpoints_alike(make_settings, run_stages) -> None:
    result = run_stages(make_settings(influence={"weights": "uniform"}, features=FLOAT32))
    assert [checkpoint.weight for checkpoint in result.checkpoints.checkpoints] == [0.5, 0.5]
    assert_scores(result, literal(result, [0.5, 0.5]))


@pytest.mark.parametrize("fidelity", ["less-code", "paper"])
def test_dot_product_takes_gradients_as_long_as_they_are(make_settings, run_stages, fidelity: str) -> None:
    result = run_stages(make_settings(influence={"similarity": "dot"}, features=FLOAT32 | {"fidelity": fidelity}))
    assert_scores(result, literal(result, [c.weight for c in result.checkpoints.checkpoints], dot=True))


@pytest.mark.parametrize("kind", ["sketch", "rademacher"])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_fewer_dimensions_are_made_of_the_stored_features_and_nothing_is_computed_again(
    make_settings, run_stages, kind: str, similarity: str
) -> None:
    features = FLOAT32 | {"projection": {"kind": kind, "dim": 256}, "fidelity": "paper"}
    wide = run_stages(make_settings(features=features, influence={"similarity": similarity}))
    few = run_stages(make_settings(features=features, influence={"similarity": similarity, "dim": 64}, name="few"))
    assert [(shard.computed, shard.files) for shard in few.pool_shards] == [(0, shard.files) for shard in wide.pool_shards]
    weights = [c.weight for c in few.checkpoints.checkpoints]
    expected = literal(few, weights, dot=similarity == "dot", paper=True, view=lambda f, n: narrow(f, n, kind, 64))
    assert_scores(few, expected)
    assert few.scores() != pytest.approx(wide.scores(), rel=1e-3)


def test_the_stored_dimension_scores_as_it_is(make_settings, run_stages) -> None:
    assert_same(*(run_stages(make_settings(influence={"dim": dim})) for dim in (0, 256)), tolerance=0)
