"""Settings of a comparison: the paper's training, what does not hold together, and the selections that it asks for."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import with_setting

from less_core.errors import ConfigError
from less_core.settings.compare import CompareSettings, draws
from less_core.settings.file import parse_as
from less_core.settings.select import Method, SelectSettings

METHODS: list[Method] = list(get_args(Method))
MINIMAL: dict[str, Any] = {
    "select": {
        "name": "r",
        "model": {"path": "m", "template": "tulu", "lora": {"rank": 4}},
        "pools": [{"name": "p", "path": "p.jsonl"}],
        "targets": [{"name": "t", "path": "t.jsonl"}],
    },
    "evaluation": {"held_out": [{"name": "t", "path": "held_out.jsonl"}]},
}


def having(path: str, value: Any) -> dict[str, Any]:
    return with_setting(MINIMAL, path, value)


def parse(data: dict[str, Any]) -> CompareSettings:
    return parse_as(CompareSettings, data, "test")


def with_budgets(by: str, budgets: list[float], **more: Any) -> CompareSettings:
    # The amount of `select` is not used, and has to suit the unit all the same.
    return parse(having("select.selection", {"by": by, "amount": 1}) | {"budgets": budgets, **more})


def selections(config: CompareSettings) -> list[SelectSettings]:
    return [config.selection(method, amount, seed) for method in METHODS for amount in config.budgets for seed in config.seeds]


def asked(selection: SelectSettings) -> tuple[str, float, int]:
    """What tells a selection from another: of a method that does not draw, the seed does not."""
    return selection.method, selection.selection.amount, selection.seed if draws(selection.method) else 0


def test_defaults_of_the_training_are_the_papers() -> None:
    training = parse(MINIMAL).training
    assert (training.kind, training.lora.rank, training.lora.alpha, training.lora.dropout) == ("lora", 128, 512, 0.1)
    assert training.lora.target_modules == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert (training.learning_rate, training.epochs, training.batch_size, training.max_length) == (2e-5, 4, 128, 2048)


def test_defaults_of_this_project_compare_every_usual_method_with_random_with_all_and_with_nothing_over_three_seeds() -> None:
    config = parse(MINIMAL)
    assert config.methods == ["less", "random", "bm25", "dsir", "rds", "rds+"]
    assert (config.budgets, config.seeds, config.untrained, config.whole_pool) == ([0.05], [0, 1, 2], True, True)
    training = config.training
    assert (training.model, training.dtype, training.template, training.micro_batch_size) == ("", "auto", "auto", 1)
    evaluation = config.evaluation
    assert (evaluation.answers, evaluation.answer_tokens) == (False, 256)
    assert (evaluation.lm_eval_tasks, evaluation.lm_eval_path, evaluation.lm_eval_limit) == ([], "", 0)


BAD: list[tuple[str, Any]] = [
    ("method", "less"),
    ("methods", []),
    ("methods", ["tfidf"]),
    ("budgets", []),
    ("budgets", [0]),
    ("budgets", [-0.05]),
    ("budgets", [float("nan")]),
    ("budgets", [float("inf")]),
    ("seeds", []),
    ("seeds", [-1]),
    ("seeds", [2**31]),
    ("select.nmae", "x"),
    ("training.kind", "qlora"),
    ("training.dtype", "int8"),
    ("training.epochs", 0),
    ("training.epochs", 101),
    ("training.learning_rate", 0),
    ("training.learning_rate", float("inf")),
    ("training.batch_size", 0),
    ("training.micro_batch_size", 0),
    ("training.max_length", 7),
    ("training.seed", 0),
    ("evaluation.held_out", []),
    ("evaluation.answer_tokens", 0),
    ("evaluation.lm_eval_limit", -1),
]


@pytest.mark.parametrize(("path", "value"), BAD, ids=[f"{path}={value}" for path, value in BAD])
def test_bad_value_names_its_key(path: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"test: expected settings that hold, got .*{path.split('.')[-1]}.*Correct these keys\."):
        parse(having(path, value))


@pytest.mark.parametrize("missing", ["select", "evaluation"])
def test_what_is_selected_and_how_it_is_judged_must_be_said(missing: str) -> None:
    with pytest.raises(ConfigError, match=rf"{missing}: Field required"):
        parse({key: value for key, value in MINIMAL.items() if key != missing})


@pytest.mark.parametrize("judged", [["u"], ["t", "u"], ["T"]])
def test_held_out_examples_are_of_all_targets_and_of_no_other(judged: list[str]) -> None:
    held_out = [{"name": name, "path": f"{name}.jsonl"} for name in judged]
    with pytest.raises(ConfigError) as caught:
        parse(having("evaluation.held_out", held_out))
    assert f"expected evaluation.held_out with the name of each target, ['t'], got {sorted(judged)}" in str(caught.value)


def test_every_target_needs_held_out_examples_in_any_order() -> None:
    targets = [{"name": name, "path": f"{name}.jsonl"} for name in ("t", "u")]
    with pytest.raises(ConfigError, match=r"expected evaluation.held_out with the name of each target, \['t', 'u'\], got \['t'\]"):
        parse(having("select.targets", targets))
    data = having("select.targets", targets)
    data["evaluation"]["held_out"] = targets[::-1]
    assert [target.name for target in parse(data).evaluation.held_out] == ["u", "t"]


def test_held_out_examples_of_one_target_are_named_once() -> None:
    with pytest.raises(ConfigError, match="held"):
        parse(having("evaluation.held_out", [{"name": "t", "path": "one.jsonl"}, {"name": "t", "path": "other.jsonl"}]))


@pytest.mark.parametrize(
    ("what", "values"), [("methods", ["less", "random", "less"]), ("budgets", [0.05, 0.1, 0.05]), ("seeds", [3, 3]), ("budgets", [1, 1.0])]
)
def test_methods_budgets_and_seeds_differ(what: str, values: list[Any]) -> None:
    with pytest.raises(ConfigError, match=rf"expected {what} that differ, got \["):
        parse(having(what, values))


@pytest.mark.parametrize(
    ("by", "budgets", "expected"),
    [
        ("fraction", [0.05, 1.5], "an `amount` of at most 1 for a fraction, got 1.5"),
        ("count", [10, 10.5], "a whole `amount` of count, got 10.5"),
        ("tokens", [0.05], "a whole `amount` of tokens, got 0.05"),
    ],
)
def test_every_budget_suits_the_unit_of_the_selection(by: str, budgets: list[float], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_budgets(by, budgets)
    assert expected in str(caught.value)


def test_budget_that_suits_the_unit_of_the_selection_holds() -> None:
    assert with_budgets("fraction", [0.05, 1]).budgets == [0.05, 1]
    assert with_budgets("tokens", [1, 250000]).budgets == [1, 250000]


def assert_named(config: CompareSettings) -> None:
    """Check that two selections have one name exactly where they are one."""
    names: dict[tuple[str, float, int], set[str]] = {}
    for selection in selections(config):
        names.setdefault(asked(selection), set()).add(selection.name)
    assert all(len(of_one) == 1 for of_one in names.values())
    assert len(set.union(*names.values())) == len(names)


def test_selections_have_names_that_differ_by_method_budget_and_drawn_seed() -> None:
    config = with_budgets("fraction", [0.005, 0.05, 0.5, 1], seeds=[0, 1, 17])
    assert_named(config)
    # Five methods do not draw, two do, with three seeds each.
    assert len({selection.name for selection in selections(config)}) == 4 * (5 + 2 * 3)
    assert all(selection.name.startswith("r-") for selection in selections(config))


@given(
    st.one_of(
        st.tuples(
            st.just("fraction"), st.lists(st.integers(1, 10**6).map(lambda parts: parts / 10**6), min_size=1, max_size=4, unique=True)
        ),
        st.tuples(
            st.sampled_from(["count", "tokens"]), st.lists(st.integers(1, 10**6 - 1).map(float), min_size=1, max_size=4, unique=True)
        ),
    ),
    st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3, unique=True),
)
def test_selections_of_budgets_of_up_to_six_digits_have_valid_names_that_differ(budgets: tuple[str, list[float]], seeds: list[int]) -> None:
    assert_named(with_budgets(*budgets, seeds=seeds))


def test_selection_of_millions_of_tokens_has_a_valid_name() -> None:
    assert_named(with_budgets("tokens", [2_000_000]))


def test_selections_of_budgets_that_differ_late_have_names_that_differ() -> None:
    assert_named(with_budgets("fraction", [0.12345671, 0.12345672]))


@pytest.mark.parametrize(("path", "value"), [("select.name", "x" * 90), ("select.influence", {"dim": 64})])
def test_settings_that_make_no_selection_of_some_method_do_not_hold(path: str, value: Any) -> None:
    with pytest.raises(ConfigError):
        parse(having(path, value))


def test_selection_is_the_shared_settings_but_for_its_method_budget_and_seed() -> None:
    config = parse(having("select.selection", {"min_tokens": 5, "rule": "top"}))
    made = config.selection("dsir", 0.25, 7)
    assert (made.method, made.selection.amount, made.seed) == ("dsir", 0.25, 7)
    same = {"name": config.select.name, "method": config.select.method, "seed": config.select.seed, "selection": config.select.selection}
    assert made.model_copy(update=same) == config.select
    assert made.selection.model_copy(update={"amount": config.select.selection.amount}) == config.select.selection


def test_trained_model_is_the_one_that_selects_where_no_other_is_named() -> None:
    trained = parse(MINIMAL).trained
    assert trained.model.path == "m"
    assert (trained.model.lora.rank, trained.model.template) == (128, "auto")  # of the training, not of the warmup


def test_another_model_is_trained_by_its_own_settings_and_the_selector_keeps_its_own() -> None:
    training = {"model": "other", "dtype": "bfloat16", "template": "chat", "max_length": 512, "lora": {"rank": 8, "target_modules": ["c"]}}
    config = parse(having("training", training))
    model = config.trained.model
    assert (model.path, model.dtype, model.template, model.lora.rank, model.lora.target_modules) == ("other", "bfloat16", "chat", 8, ["c"])
    assert config.trained.features.max_length == 512
    assert config.trained.model_copy(update={"model": config.select.model, "features": config.select.features}) == config.select
    for selection in selections(config):
        assert (selection.model, selection.features) == (config.select.model, config.select.features)
        assert selection.model.path == "m"
