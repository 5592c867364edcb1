"""Settings: the paper's defaults, bounds, overrides, and a schema that the UI can render."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from samples import with_setting

from less_core.errors import ConfigError
from less_core.settings.file import load_settings, parse_settings
from less_core.settings.select import SelectSettings

MINIMAL: dict[str, Any] = {
    "name": "r",
    "model": {"path": "m"},
    "pools": [{"name": "p", "path": "p.jsonl"}],
    "targets": [{"name": "t", "path": "t.jsonl"}],
}


IMPORTED: dict[str, Any] = {
    "pool": "grads/{name}-ckpt{checkpoint}-adam",
    "target": "grads/{name}-ckpt{checkpoint}-sgd",
    "checkpoints": [105, 211],
    "learning_rates": [2e-5, 1e-5],
}


FLOATS: dict[str, Any] = {"features": {"storage": "float16"}}


def having(path: str, value: Any) -> dict[str, Any]:
    return with_setting(MINIMAL, path, value)


def save(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def test_defaults_are_the_papers() -> None:
    settings = parse_settings(MINIMAL, "test")
    lora, warmup, features = settings.model.lora, settings.warmup, settings.features
    assert (lora.rank, lora.alpha, lora.dropout) == (128, 512, 0.1)
    assert lora.target_modules == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert (warmup.learning_rate, warmup.epochs, warmup.batch_size, warmup.fraction) == (2e-5, 4, 128, 0.05)
    assert (features.max_length, features.gradient, features.fidelity) == (2048, "adam", "less-code")
    assert (settings.selection.by, settings.selection.amount) == ("fraction", 0.05)


@pytest.mark.parametrize("kind", ["rademacher", "fast-jl"])
def test_dense_projections_have_the_papers_dimension_and_whole_numbers_where_none_are_given(kind: str) -> None:
    features = parse_settings(MINIMAL | {"features": {"projection": {"kind": kind}}}, "test").features
    assert (features.projection.dim, features.storage) == (8192, "float16")
    given = {"projection": {"kind": kind, "dim": 1024}, "storage": "int8"}
    features = parse_settings(MINIMAL | {"features": given}, "test").features
    assert (features.projection.dim, features.storage) == (1024, "int8")


def test_defaults_of_this_project_are_those_of_its_design() -> None:
    settings = parse_settings(MINIMAL, "test")
    projection = settings.features.projection
    assert (projection.kind, projection.seed, projection.seed_per_checkpoint, settings.features.storage) == ("sketch", 0, True, "sign")
    assert projection.dim == 65536
    assert (settings.store, settings.runs, settings.model.template, settings.influence.scoring) == ("store", "runs", "auto", "exact")
    assert (settings.method, settings.rule, settings.seed, settings.warmup.kind, settings.pools[0].quota) == ("less", "top", 0, "train", 1)
    influence, selection = settings.influence, settings.selection
    assert (influence.checkpoints, influence.weights, influence.similarity, influence.dim) == ([], "learning_rate", "cosine", 0)
    assert (selection.min_tokens, selection.max_tokens, selection.near_duplicates, selection.contaminated) == (0, 0, 0, "report")


BAD: list[tuple[str, Any]] = [
    ("nmae", "x"),
    ("model.lora.ranks", 8),
    ("features.projection.kinds", "sketch"),
    ("pools.0.sampel", 1),
    ("name", "a/b"),
    ("name", ""),
    ("name", ".."),
    ("pools.0.name", "../x"),
    ("model.path", ""),
    ("model.dtype", "int8"),
    ("model.lora.rank", 0),
    ("model.lora.rank", 4097),
    ("model.lora.alpha", 0),
    ("model.lora.alpha", float("inf")),
    ("model.lora.dropout", 1.0),
    ("model.lora.dropout", float("nan")),
    ("model.lora.target_modules", []),
    ("pools", []),
    ("targets", []),
    ("pools.0.sample", -1),
    ("pools.0.format", "csv"),
    ("pools.0.quota", 0),
    ("pools.0.quota", 1.01),
    ("pools.0.quota", float("nan")),
    ("targets.0.builtin", "arc"),
    ("targets.0.skip", -1),
    ("targets.0.take", -1),
    ("targets.0.take", 1.5),
    ("method", "tfidf"),
    ("seed", -1),
    ("seed", 2**31),
    ("warmup.kind", "none"),
    ("warmup.fraction", 0),
    ("warmup.fraction", 1.01),
    ("warmup.epochs", 0),
    ("warmup.learning_rate", -1e-5),
    ("warmup.learning_rate", float("inf")),
    ("warmup.batch_size", 0),
    ("warmup.seed", -1),
    ("warmup.seed", 2**31),
    ("features.projection.dim", 63),
    ("features.projection.dim", 100),
    ("features.projection.dim", 2**20 + 64),
    ("features.max_length", 7),
    ("features.storage", "int4"),
    ("selection.amount", 0),
    ("selection.amount", float("nan")),
    ("selection.amount", float("inf")),
    ("selection.rule", "round_robin"),
    ("selection.min_tokens", -1),
    ("selection.max_tokens", -1),
    ("selection.near_duplicates", 1),
    ("selection.near_duplicates", -0.1),
    ("selection.contaminated", "drop"),
    ("influence.checkpoints", ["last"]),
    ("influence.weights", "last"),
    ("influence.similarity", "euclidean"),
    ("influence.dim", -1),
    ("influence.dim", 2**20 + 1),
    ("imported.checkpoints", [1.5]),
    ("imported.learning_rates", [float("inf")]),
    ("execution.shard_size", 0),
    ("execution.shard_size", 65537),
    ("execution.device", "tpu"),
]


@pytest.mark.parametrize(("path", "value"), BAD, ids=[f"{path}={value!r:.20}" for path, value in BAD])
def test_unknown_key_or_value_out_of_bounds_is_a_config_error_that_names_it(path: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"test: expected settings that hold, got .*{path}"):
        parse_settings(having(path, value), "test")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"selection": {"by": "fraction", "amount": 2}}, "expected an `amount` of at most 1"),
        ({"selection": {"by": "count", "amount": 2.5}}, "expected a whole `amount` of count, got 2.5"),
        ({"selection": {"by": "count", "amount": float("inf")}}, "selection.amount"),
        ({"features": {"projection": {"kind": "fast-jl", "dim": 64}}}, "multiple of 512 for fast-jl, got 64"),
        ({"pools": [{"name": "p"}]}, "exactly one of `path` and `hub`"),
        ({"pools": [{"name": "p", "path": "a", "hub": "b"}]}, "exactly one of `path` and `hub`"),
        ({"pools": [{"name": "p", "path": "a"}] * 2}, "pool names that differ, got \\['p'\\]"),
        ({"targets": [{"name": "t", "path": "a"}] * 2}, "target names that differ, got \\['t'\\]"),
        ({"targets": [{"name": "merged", "path": "a"}]}, "another name than 'merged'"),
        ({"targets": [{"name": "t"}]}, "exactly one of `path` and `builtin`"),
        ({"targets": [{"name": "t", "path": "a", "builtin": "mmlu", "hub": "b"}]}, "exactly one of `path` and `builtin`"),
        ({"targets": [{"name": "t", "builtin": "mmlu"}]}, "exactly one of `data_dir` and `hub` with `builtin`"),
        (
            {"targets": [{"name": "t", "builtin": "mmlu", "data_dir": "a", "hub": "b"}]},
            "exactly one of `data_dir` and `hub` with `builtin`",
        ),
        ({"targets": [{"name": "t", "path": "a", "data_dir": "b"}]}, "neither with `path`"),
        ({"targets": [{"name": "t", "path": "a", "hub": "b"}]}, "neither with `path`"),
        *[({"imported": IMPORTED | {key: type(IMPORTED[key])()}}, "together, or none of them") for key in IMPORTED],
        ({"imported": IMPORTED | {"learning_rates": [1e-5]}}, "a learning rate for each of 2 checkpoints, got 1"),
        ({"imported": IMPORTED | {"checkpoints": [105, 105]}}, "checkpoints that differ"),
        ({"imported": IMPORTED, "method": "rds"}, "imported"),
        ({"influence": {"checkpoints": [0]}}, "`checkpoints` that differ, counted from 1, got \\[0\\]"),
        ({"influence": {"checkpoints": [-1]}}, "counted from 1, got \\[-1\\]"),
        ({"influence": {"checkpoints": [2, 1, 2]}}, "`checkpoints` that differ, counted from 1, got \\[2, 1, 2\\]"),
        (
            {"features": {"storage": "float16"}, "influence": {"scoring": "store", "dim": 3000}},
            "an `influence.dim` that divides features.projection.dim = 65536, got 3000",
        ),
        (
            {"features": {"storage": "float16"}, "influence": {"scoring": "store", "dim": 131072}},
            "an `influence.dim` that divides features.projection.dim = 65536, got 131072",
        ),
        ({"influence": {"scoring": "store", "dim": 1024}}, "features.storage of float16 or float32 with `influence.dim`, got sign"),
        ({"influence": {"dim": 1024}}, "`influence.dim` of 0 with `scoring: exact`"),
        ({"influence": {"scoring": "rerank", "shortlist": 0.04}}, "an `influence.shortlist` of at least the budget of 0.05, got 0.04"),
        (
            {"influence": {"scoring": "rerank"}, "selection": {"rule": "round_robin_subtasks"}},
            "`selection.rule: top` with `scoring: rerank`",
        ),
        ({"influence": {"dim": 1024}, "method": "rds"}, "`influence.dim` of 0"),
        ({"influence": {"dim": 1024}, "imported": IMPORTED}, "`influence.dim` of 0"),
        ({"execution": {"cluster": "auto"}}, "`runner: ray` or `dask` with `cluster` or `workers`, got local"),
        ({"execution": {"workers": 2}}, "`runner: ray` or `dask` with `cluster` or `workers`, got local"),
        ({"execution": {"runner": "ray", "cluster": "auto", "workers": 2}}, "`workers` of 0 with `cluster`"),
        ({"selection": {"min_tokens": 9, "max_tokens": 8}}, "`min_tokens` of at most `max_tokens`, got 9 and 8"),
    ],
)
def test_settings_at_odds_with_each_other_are_a_config_error(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_settings(MINIMAL | sections, "test")


@pytest.mark.parametrize(("by", "amount"), [("fraction", 1), ("count", 1000), ("tokens", 2e6)])
def test_budget_in_each_unit_is_taken(by: str, amount: float) -> None:
    assert parse_settings(MINIMAL | {"selection": {"by": by, "amount": amount}}, "test").selection.amount == amount


@pytest.mark.parametrize(
    "sections",
    [
        {"targets": [{"name": "t", "builtin": "gsm8k", "data_dir": "a", "skip": 2, "take": 8}]},
        {"targets": [{"name": "t", "builtin": "bbh", "hub": "owner/data"}]},
        {"imported": IMPORTED},
        {"features": {"storage": "float16"}, "influence": {"scoring": "store", "checkpoints": [4, 2], "dim": 8192}},
        {"features": {"storage": "float32"}, "influence": {"scoring": "store", "dim": 64}},
        {"influence": {"scoring": "rerank", "shortlist": 0.05}},
        {"influence": {"scoring": "rerank"}, "method": "rds+"},
        {"influence": {"scoring": "exact"}, "imported": IMPORTED},
        {"selection": {"min_tokens": 9}},
        {"selection": {"min_tokens": 9, "max_tokens": 9, "near_duplicates": 0.99}},
        {"pools": [{"name": "p", "path": "a", "quota": 0.001}]},
    ],
)
def test_settings_at_their_bounds_or_in_company_are_taken(sections: dict[str, Any]) -> None:
    assert parse_settings(MINIMAL | sections, "test").model_dump(include=set(sections), exclude_unset=True) == sections


@pytest.mark.parametrize(
    ("method", "rule", "expected"),
    [
        ("less", "auto", "top"),
        ("rds", "auto", "top"),
        ("rds+", "auto", "round_robin_examples"),
        ("rds+", "top", "top"),
        ("less", "round_robin_examples", "round_robin_examples"),
        ("bm25", "round_robin_subtasks", "round_robin_subtasks"),
    ],
)
def test_rule_is_the_one_asked_for_or_the_methods_own(method: str, rule: str, expected: str) -> None:
    assert parse_settings(MINIMAL | {"method": method, "selection": {"rule": rule}}, "test").rule == expected


def test_every_fault_is_named_in_one_error() -> None:
    data = having("model.lora.rank", 0) | {"selection": {"amount": -1}, "nmae": "x"}
    with pytest.raises(ConfigError) as caught:
        parse_settings(data, "test")
    assert all(key in str(caught.value) for key in ("model.lora.rank", "selection.amount", "nmae"))


def test_settings_are_frozen_and_survive_a_round_trip() -> None:
    settings = parse_settings(MINIMAL, "test")
    with pytest.raises(ValueError, match="frozen"):
        settings.name = "x"
    assert SelectSettings.model_validate_json(settings.model_dump_json()) == settings


def test_settings_find_pools_targets_and_data_paths() -> None:
    settings = parse_settings(MINIMAL | {"data_dir": "data/"}, "test")
    assert settings.pool("p").path == "p.jsonl"
    assert settings.target("t").path == "t.jsonl"
    assert settings.data_path("a/b.jsonl") == "data/a/b.jsonl"
    assert settings.data_path("/abs/b.jsonl") == "/abs/b.jsonl"
    assert settings.data_path("s3://bucket/b.jsonl") == "s3://bucket/b.jsonl"
    assert parse_settings(MINIMAL, "test").data_path("b.jsonl") == "b.jsonl"


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def test_paths_are_spelled_out_for_workers_that_stand_elsewhere_and_for_no_one_else(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"store": "s", "runs": "s3://bucket/runs", "warmup": {"checkpoints": ["c", "/c"]}, "imported": IMPORTED}
    local = parse_settings(MINIMAL | paths, "test")
    assert local.spelled_out() == local
    far = parse_settings(MINIMAL | paths | {"execution": {"runner": "dask"}}, "test").spelled_out()
    assert (far.store, far.runs, far.data_dir) == (f"{tmp_path}/s", "s3://bucket/runs", str(tmp_path))
    assert far.warmup.checkpoints == [f"{tmp_path}/c", "/c"]
    assert far.imported.pool == f"{tmp_path}/{local.imported.pool}"
    assert (far.pools, far.targets, far.model) == (local.pools, local.targets, local.model)


def test_schema_renders_as_a_form() -> None:
    schema = SelectSettings.model_json_schema()
    models = [schema, *schema["$defs"].values()]
    assert len(models) > 10
    for model in models:
        assert model["additionalProperties"] is False
        for name, field in model["properties"].items():
            assert field.get("title"), name
    for node in nodes(schema):
        assert not {"anyOf", "oneOf", "allOf", "prefixItems", "patternProperties"} & node.keys(), node


def test_load_settings_reads_a_file(tmp_path: Path) -> None:
    assert load_settings(save(tmp_path, MINIMAL)) == parse_settings(MINIMAL, "test")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("selection.amount=0.1", lambda s: s.selection.amount == 0.1),
        ("name=other", lambda s: s.name == "other"),
        ("model.lora.target_modules=[a, b]", lambda s: s.model.lora.target_modules == ["a", "b"]),
        ("pools.0.sample=5", lambda s: s.pools[0].sample == 5),
        ("pools.0={name: z, path: z.jsonl}", lambda s: s.pools[0].name == "z"),
        ("features.projection.seed_per_checkpoint=false", lambda s: s.features.projection.seed_per_checkpoint is False),
        ("store=s3://a/b?x=y", lambda s: s.store == "s3://a/b?x=y"),
        ("data_dir=", None),
    ],
)
def test_load_settings_applies_an_override(tmp_path: Path, override: str, expected: Any) -> None:
    path = save(tmp_path, MINIMAL)
    if expected is None:
        with pytest.raises(ConfigError, match="data_dir"):
            load_settings(path, [override])
    else:
        assert expected(load_settings(path, [override]))


def test_load_settings_overrides_a_setting_of_a_section_that_stands_empty(tmp_path: Path) -> None:
    path = save(tmp_path, MINIMAL | {"features": None})
    assert load_settings(path, ["features.max_length=64"]).features.max_length == 64


def test_load_settings_applies_overrides_in_order(tmp_path: Path) -> None:
    assert load_settings(save(tmp_path, MINIMAL), ["warmup.epochs=2", "warmup.epochs=3", "warmup.seed=1"]).warmup.epochs == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("amount", "--set amount: expected key.sub=value, got no '='"),
        ("=3", "--set =3: expected key.sub=value"),
        ("pools.1.sample=5", "--set pools.1.sample=5: expected item '1' to be there, got 1 items"),
        ("pools.x.sample=5", "expected item 'x' to be there"),
        ("pools.².sample=5", "expected item '²' to be there"),
        ("pools.-1={}", "expected item '-1' to be there"),
        ("name.sub=5", "a key that can hold settings, got name = 'r'"),
        ("name.sub.deeper=5", "name.sub.deeper"),
        ("name=[", "a YAML value, got \\["),
        ("selection.amuont=1", "selection.amuont"),
        ("..=1", "settings that hold"),
    ],
)
def test_load_settings_override_that_does_not_hold_names_the_key(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(save(tmp_path, MINIMAL), [override])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a mapping of settings, got NoneType"),
        (b"- a\n", "a mapping of settings, got list"),
        (b"a: [1\n", "expected YAML, got .*line 2"),
        (b"name: \xff\n", "a readable YAML file"),
        (b"!!python/object/apply:os.system ['true']\n", "expected YAML"),
        (b"name: r\n1: 2\n", "1"),
    ],
)
def test_load_settings_of_something_else_is_a_config_error_with_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"c.yaml: .*{message}"):
        load_settings(path)


def test_load_settings_of_a_missing_file_or_a_folder_is_a_config_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.yaml", tmp_path):
        with pytest.raises(ConfigError, match="expected a readable YAML file"):
            load_settings(path)
