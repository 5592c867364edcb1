"""Trainings on selections and their evaluation, task by task without a server: done once, found again, and right."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from prefect.states import State
from samples import conversation, write_jsonl
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from less_core.changes.records import SelectionChange
from less_core.data.encoding import Encoder
from less_core.data.pools import open_rows
from less_core.data.targets import read_target
from less_core.errors import ConfigError, DataError
from less_core.files.whole import write_json
from less_core.model.loading import load_trained
from less_core.model.losses import IGNORE
from less_core.refs import ModelRef, OutcomeRef, TrainingRef, TrialRef
from less_core.settings.compare import CompareSettings
from less_core.settings.file import parse_as
from less_core.storage.formats.examples import iterate_run_index
from less_core.storage.formats.selections import read_selected_ids, write_selected_ids
from tasks import training as module
from tasks.agree import agree_pair, agreements, find_version
from tasks.evaluation import judge
from tasks.training import look_at_trained_model, train_on

pytestmark = pytest.mark.slow

LORA = {"rank": 2, "alpha": 64, "target_modules": ["q_proj", "v_proj"]}
TRAINING = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 4, "micro_batch_size": 2, "max_length": 128, "lora": LORA}
FEW = {"by": "count", "amount": 5}
UNTRAINED = TrialRef(method="untrained", amount=0, seed=0, targets=["t"], index="", ids="")


def value(returned: Any) -> Any:
    return returned.data if isinstance(returned, State) else returned


def name(returned: Any) -> str:
    """What a task's state is called; of one that computed, nothing."""
    return returned.name if isinstance(returned, State) else ""


@pytest.fixture
def selected(make_settings, run_stages):
    """A random selection of five: the method that computes least."""
    return run_stages(make_settings(method="random", selection=FEW))


@pytest.fixture
def compare(selected, tmp_path: Path) -> Callable[..., CompareSettings]:
    """Settings of a comparison that has that selection; keyword arguments replace settings of the training, `evaluation` those of it."""
    held_out = write_jsonl(tmp_path / "held_out.jsonl", [conversation(i) for i in range(2000, 2007)])

    def make(evaluation: dict[str, Any] | None = None, **training: Any) -> CompareSettings:
        data = {
            "select": selected.settings.model_dump(),
            "budgets": [5],
            "training": TRAINING | training,
            "evaluation": {"held_out": [{"name": "t", "path": str(held_out)}]} | (evaluation or {}),
        }
        return parse_as(CompareSettings, data, "test")

    return make


def trial_of(selected, **changes: Any) -> TrialRef:
    version = selected.version
    trial = TrialRef(method="random", amount=5, seed=0, targets=["t"], index=version.index("pool"), ids=version.selected_ids("t"))
    return trial.model_copy(update=changes)


def train(config: CompareSettings, trial: TrialRef) -> tuple[TrainingRef, str]:
    done = train_on.fn(config, look_at_trained_model.fn(config), trial)
    return value(done), name(done)


def weights(training: TrainingRef, model: ModelRef) -> dict[str, Tensor]:
    trained = load_trained(Path(training.folder), Path(model.folder), torch.float32, torch.device("cpu"))
    return dict(trained.named_parameters())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# Training


def test_training_on_a_selection_is_done_once_and_found_again(compare, selected) -> None:
    config = compare()
    first, how = train(config, trial_of(selected))
    assert (first.computed, first.examples, how) == (True, 5, "")
    again, how_again = train(config, trial_of(selected))
    assert again == first.model_copy(update={"computed": False})
    assert how_again == "Cached"
    assert [path.name for path in Path(config.select.store).glob("trainings/*")] == [first.fingerprint]
    left = {path.name for path in Path(first.folder).iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "training.json"} <= left
    assert not {"trainer", ".trainer.lock"} & left


def test_training_does_not_depend_on_the_order_of_its_ids_nor_on_who_selected_them(compare, selected, tmp_path: Path) -> None:
    config, ids = compare(), read_selected_ids(selected.version.selected_ids("t"))
    write_selected_ids(str(tmp_path / "reversed.parquet"), ids[::-1])
    first, _ = train(config, trial_of(selected))
    other, how = train(config, trial_of(selected, ids=str(tmp_path / "reversed.parquet"), method="less", amount=0.1, targets=["u"]))
    assert (other.fingerprint, how) == (first.fingerprint, "Cached")


def test_training_of_the_same_ids_in_another_order_has_the_same_weights(compare, selected, tmp_path: Path) -> None:
    config, ids = compare(), read_selected_ids(selected.version.selected_ids("t"))
    write_selected_ids(str(tmp_path / "reversed.parquet"), ids[::-1])
    elsewhere = config.model_copy(update={"select": config.select.model_copy(update={"store": str(tmp_path / "elsewhere")})})
    (one, _), (other, how) = train(config, trial_of(selected)), train(elsewhere, trial_of(selected, ids=str(tmp_path / "reversed.parquet")))
    assert (one.fingerprint, how) == (other.fingerprint, "")
    model = look_at_trained_model.fn(config)
    assert same(weights(one, model), weights(other, model))


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the training itself out, where only addresses are looked at."""
    monkeypatch.setattr(module, "_train", lambda model, settings, seed, examples, work, made: (made / "weights").write_bytes(b""))


@pytest.mark.usefixtures("untouched")
def test_training_with_anything_that_matters_changed_is_another(compare, selected, tmp_path: Path) -> None:
    write_selected_ids(str(tmp_path / "four.parquet"), read_selected_ids(selected.version.selected_ids("t"))[:4])
    made = [
        train(compare(), trial_of(selected)),
        train(compare(), trial_of(selected, seed=1)),
        train(compare(), trial_of(selected, ids=str(tmp_path / "four.parquet"))),
        train(compare(epochs=2), trial_of(selected)),
        train(compare(learning_rate=2e-2), trial_of(selected)),
        train(compare(batch_size=2), trial_of(selected)),
        train(compare(lora=LORA | {"rank": 4}), trial_of(selected)),
        train(compare(max_length=64), trial_of(selected)),
        train(compare(template="tulu"), trial_of(selected)),
        train(compare(dtype="bfloat16"), trial_of(selected)),
        train(compare(kind="full"), trial_of(selected)),
    ]
    assert [how for _, how in made] == [""] * len(made)
    assert len({training.fingerprint for training, _ in made}) == len(made)


@pytest.mark.usefixtures("untouched")
def test_training_of_all_weights_does_not_depend_on_the_adapter_that_it_has_not_nor_on_the_precision(compare, selected) -> None:
    first, _ = train(compare(kind="full"), trial_of(selected))
    for change in ({"lora": LORA | {"rank": 4}}, {"dtype": "bfloat16"}):
        assert train(compare(kind="full", **change), trial_of(selected)) == (first.model_copy(update={"computed": False}), "Cached")


@pytest.mark.usefixtures("untouched")
def test_training_without_its_record_is_done_again(compare, selected) -> None:
    first, _ = train(compare(), trial_of(selected))
    (Path(first.folder) / "training.json").unlink()
    assert train(compare(), trial_of(selected)) == (first, "")


def test_training_on_the_whole_pool_has_all_of_it_whoever_asks(compare, selected, monkeypatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(module, "_train", lambda model, settings, seed, examples, *folders: seen.append([e.example_id for e in examples]))
    training, _ = train(compare(), trial_of(selected, method="whole pool", amount=0, ids=""))
    assert training.examples == 50
    assert seen == [sorted(e for table in iterate_run_index(selected.version.index("pool")) for e in table["example_id"].to_pylist())]


def test_untrained_model_is_the_model_as_it_is(compare) -> None:
    config = compare()
    training, how = train(config, UNTRAINED)
    assert (training.folder, training.examples, training.computed, how) == ("", 0, False, "Untrained")
    assert training.fingerprint == look_at_trained_model.fn(config).fingerprint
    assert not Path(config.select.store, "trainings").exists()


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_training_that_was_stopped_goes_on_from_the_store_and_ends_the_same(compare, selected, tmp_path, monkeypatch, kind: str) -> None:
    config = compare(kind=kind, epochs=2)
    elsewhere = config.model_copy(update={"select": config.select.model_copy(update={"store": str(tmp_path / "elsewhere")})})
    whole, _ = train(elsewhere, trial_of(selected))
    told: list[int] = []

    def count(examples: int, tokens: int) -> None:
        told.append(examples)
        if len(told) == 5:  # of three batches an epoch
            raise InterruptedError

    monkeypatch.setattr(module.WORK, "advance", count)
    with pytest.raises(InterruptedError):
        train(config, trial_of(selected))
    resumed, how = train(config, trial_of(selected))
    assert (len(told), resumed.computed, how) == (5 + 3, True, "")
    assert not Path(resumed.folder, "trainer").exists()
    model = look_at_trained_model.fn(config)
    assert same(weights(resumed, model), weights(whole, model))


def test_training_of_all_weights_is_in_float32_and_leaves_the_base_models_files_alone(compare, selected) -> None:
    config = compare(kind="full", dtype="bfloat16")
    model = look_at_trained_model.fn(config)
    before = dict(AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.float32).named_parameters())
    training, _ = train(config, trial_of(selected))
    after = dict(AutoModelForCausalLM.from_pretrained(training.folder, dtype="auto").named_parameters())
    assert {parameter.dtype for parameter in after.values()} == {torch.float32}
    assert not any(torch.equal(after[key], before[key]) for key in before)
    assert model == look_at_trained_model.fn(config)  # its fingerprint is of its files


def test_training_on_nothing_with_a_label_is_a_data_error(compare, selected) -> None:
    with pytest.raises(
        DataError, match=r"training: expected an example with a label, got 5 examples .*8 tokens\. Raise training\.max_length"
    ):
        train(compare(max_length=8, template="tulu"), trial_of(selected))


@pytest.mark.parametrize("change", [{"lora": LORA | {"target_modules": ["c_attn"]}}, {"max_length": 4096}], ids=["modules", "positions"])
def test_trained_model_that_cannot_be_trained_so_is_said_at_the_look_at_it(compare, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        look_at_trained_model.fn(compare(**change))


# Evaluation


def literal_loss(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, held_out: Path) -> float:
    """The mean of the model's own losses, one example at a time."""
    encoder = Encoder(tokenizer, "auto", 128)
    losses = []
    for example in encoder.encode(read_target("t", open_rows(str(held_out))).examples):
        ids = torch.tensor([example.input_ids])
        labels = torch.where(torch.tensor([example.label_mask]), ids, IGNORE)
        with torch.no_grad():
            losses.append(float(model(input_ids=ids, labels=labels).loss))
    return sum(losses) / len(losses)


def judged(config: CompareSettings, training: TrainingRef) -> tuple[list[OutcomeRef], str]:
    done = judge.fn(config, look_at_trained_model.fn(config), training)
    return value(done), name(done)


@pytest.mark.parametrize("kind", ["lora", "full", "untrained"])
def test_outcome_is_the_mean_loss_of_the_trained_model_and_is_measured_once(compare, selected, tmp_path: Path, kind: str) -> None:
    config = compare(kind="full" if kind == "full" else "lora")
    model = look_at_trained_model.fn(config)
    trial = trial_of(selected) if kind != "untrained" else UNTRAINED
    training, _ = train(config, trial)
    folder = Path(training.folder or model.folder)
    trained = load_trained(folder, Path(model.folder), torch.float32, torch.device("cpu"))
    ([outcome], how) = judged(config, training)
    assert (outcome.target, outcome.held_out, outcome.examples, outcome.computed, how) == ("t", 7, training.examples, True, "")
    assert outcome.loss == pytest.approx(literal_loss(trained, AutoTokenizer.from_pretrained(model.folder), tmp_path / "held_out.jsonl"))
    assert (outcome.accuracy, outcome.tasks) == (None, {})
    assert judged(config, training) == ([outcome.model_copy(update={"computed": False, "bytes_written": 0})], "Cached")


def test_outcome_of_a_held_out_file_that_changed_is_measured_again_and_of_one_that_moved_is_not(compare, tmp_path: Path) -> None:
    config = compare()
    untrained, _ = train(config, UNTRAINED)
    [first], _ = judged(config, untrained)
    held_out = tmp_path / "held_out.jsonl"
    (tmp_path / "moved").mkdir()
    moved = held_out.rename(tmp_path / "moved" / held_out.name)
    assert judged(compare({"held_out": [{"name": "t", "path": str(moved)}]}), untrained)[1] == "Cached"
    part = compare({"held_out": [{"name": "t", "path": str(moved), "skip": 2, "take": 3}]})
    [of_part], how = judged(part, untrained)
    assert (of_part.held_out, how) == (3, "")
    write_jsonl(held_out, [conversation(i) for i in range(3000, 3004)])
    [changed], how = judged(config, untrained)
    assert (changed.held_out, how) == (4, "")
    assert len({first.loss, of_part.loss, changed.loss}) == 3


def test_outcome_of_the_same_model_read_in_another_precision_is_measured_again(compare) -> None:
    untrained, _ = train(compare(), UNTRAINED)
    judged(compare(), untrained)
    assert judged(compare(dtype="bfloat16"), untrained)[1] == ""


def test_outcomes_are_of_the_targets_of_a_trial_and_only_what_is_missing_is_measured(compare, selected, tmp_path: Path) -> None:
    config = compare()
    u = {"name": "u", "path": str(write_jsonl(tmp_path / "u.jsonl", [conversation(i) for i in range(4000, 4003)]))}
    data = config.model_dump()
    data["select"]["targets"].append(data["select"]["targets"][0] | {"name": "u"})
    data["evaluation"]["held_out"].append(u)
    both = parse_as(CompareSettings, data, "test")
    untrained, _ = train(both, UNTRAINED.model_copy(update={"targets": ["u"]}))
    [alone], _ = judged(both, untrained)
    assert (alone.target, alone.held_out) == ("u", 3)
    (kept,) = Path(both.select.store).glob("evaluations/*.json")
    write_json(str(kept), {"held_out": 3, "loss": 0.25, "accuracy": None, "tasks": {}})  # would not be found again by measuring
    outcomes, how = judged(both, untrained.model_copy(update={"trial": untrained.trial.model_copy(update={"targets": ["t", "u"]})}))
    assert [(outcome.target, outcome.computed) for outcome in outcomes] == [("t", True), ("u", False)]
    assert outcomes[1].loss == 0.25 != outcomes[0].loss
    assert how == ""


def test_held_out_examples_without_a_label_are_a_data_error_that_names_their_target(compare) -> None:
    config = compare(max_length=8, template="tulu")
    untrained, _ = train(config, UNTRAINED)
    with pytest.raises(DataError, match=r"held-out examples of t: expected one with a label, got 7 without one within 8 tokens"):
        judged(config, untrained)


def test_answers_are_asked_for_of_built_in_targets_only(compare, tmp_path: Path) -> None:
    dev = tmp_path / "mmlu" / "dev"
    dev.mkdir(parents=True)
    questions = [f"the {word} is,red,blue,green,dog,{letter}" for word, letter in zip(("cat", "bird", "plum", "pear"), "ABCD", strict=True)]
    (dev / "colour_dev.csv").write_text("\n".join(questions) + "\n")
    built_in = {"name": "t", "builtin": "mmlu", "data_dir": str(tmp_path)}
    untrained, _ = train(compare(), UNTRAINED)
    files = compare().model_dump()["evaluation"]["held_out"]
    for held_out, answers in (([built_in], True), ([built_in], False), (files, True), (files, False)):
        [outcome], how = judged(compare({"held_out": held_out, "answers": answers}, max_length=512), untrained)
        assert how == ""  # with and without answers are two outcomes
        assert (outcome.accuracy in (0, 0.25, 0.5, 0.75, 1)) == (held_out == [built_in] and answers)
        assert (outcome.accuracy is None) != (held_out == [built_in] and answers)


# LESS-T: another model is trained than the one that selects


def test_model_of_another_shape_is_trained_and_judged_by_its_own_tokenizer_and_template(
    compare, selected, base_models, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    base_models["gpt2"]().save_pretrained(other)
    tokenizer.save_pretrained(other)
    config = compare(model=str(other), lora=LORA | {"target_modules": ["c_attn"]})
    model = look_at_trained_model.fn(config)
    assert (model.folder, model.fingerprint == selected.model.fingerprint) == (str(other), False)
    training, how = train(config, trial_of(selected))
    assert (training.examples, how) == (5, "")
    assert training.fingerprint != train(compare(), trial_of(selected))[0].fingerprint
    [outcome], _ = judged(config, training)
    trained = load_trained(Path(training.folder), other, torch.float32, torch.device("cpu"))
    assert outcome.loss == pytest.approx(literal_loss(trained, tokenizer, tmp_path / "held_out.jsonl"))
    untrained, _ = train(config, UNTRAINED)
    assert judged(config, untrained)[0][0].loss != outcome.loss


# Agreement


def change(target: str, jaccard: float, spearman: float | None) -> SelectionChange:
    counts = dict.fromkeys(["before", "now", "kept", "came_in", "went_out", "came_in_new", "went_out_removed", "common"], 5)
    nothing: dict[str, Any] = {"drift": [], "moved_in": [], "moved_out": [], "mean_rank_shift": None}
    return SelectionChange(target=target, jaccard=jaccard, spearman=spearman, **counts, **nothing)


CHANGES = {
    ("a", "b"): [change("t", 0.5, 0.1), change("u", 0.25, None)],
    ("a", "c"): [change("t", 0.0, -0.2)],
    ("b", "c"): [change("t", 1.0, 0.3)],
}


def transposed(matrix: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*matrix, strict=True)]


def test_agreements_are_symmetric_with_the_whole_of_each_on_the_diagonal() -> None:
    of_t = agreements(CHANGES)[0]
    assert (of_t.target, of_t.methods) == ("t", ["a", "b", "c"])
    assert of_t.overlap == [[1, 0.5, 0], [0.5, 1, 1], [0, 1, 1]] == transposed(of_t.overlap)
    assert of_t.correlation == [[None, 0.1, -0.2], [0.1, None, 0.3], [-0.2, 0.3, None]] == transposed(of_t.correlation)


def test_agreements_do_not_depend_on_which_of_a_pair_came_first() -> None:
    turned = {(other, one): found for (one, other), found in CHANGES.items()}
    (straight, *_), (other, *_) = agreements(CHANGES), agreements(turned)
    order = [other.methods.index(method) for method in straight.methods]
    assert [[other.overlap[row][column] for column in order] for row in order] == straight.overlap
    assert [[other.correlation[row][column] for column in order] for row in order] == straight.correlation


def test_agreements_show_selections_by_the_names_that_are_given() -> None:
    assert agreements(CHANGES, {"a": "less 0.05"})[0].methods == ["less 0.05", "b", "c"]
    assert agreements({}) == []


def test_agreements_for_a_target_are_of_the_selections_that_have_it() -> None:
    of_u = agreements(CHANGES)[1]
    assert (of_u.target, of_u.methods, of_u.overlap) == ("u", ["a", "b"], [[1, 0.25], [0.25, 1]])


@pytest.fixture
def runs(make_settings, run_stages) -> str:
    """Two random selections, `one` and `other`, with the record that a report would leave: each has a target that the other has not."""
    for number, run in enumerate(["one", "other"]):
        result = run_stages(make_settings(method="random", selection=FEW, name=run, seed=number))
        write_json(result.version.record, {"targets": [{"name": run}, {"name": "t"}]})
    return result.settings.runs


def test_pair_agrees_as_far_as_its_selections_overlap_for_the_targets_of_both(runs: str) -> None:
    [found] = agree_pair.fn(runs, "one", "other")
    versions = {run: find_version(runs, run) for run in ("one", "other")}
    one, other = (set(read_selected_ids(version.selected_ids("t"))) for version in versions.values())
    assert (found.target, found.jaccard, found.common) == ("t", len(one & other) / len(one | other), 50)
    [turned] = agree_pair.fn(runs, f"other@{versions['other'].name}", "one")
    assert (turned.jaccard, turned.spearman) == (found.jaccard, found.spearman)
    assert -1 < turned.spearman < 1


def test_pair_without_a_common_target_is_a_config_error(runs: str) -> None:
    write_json(find_version(runs, "other").record, {"targets": [{"name": "T"}]})
    with pytest.raises(ConfigError, match=r"one and other: expected a target of the same name in both, got \['one', 't'\] and \['T'\]"):
        agree_pair.fn(runs, "one", "other")


@pytest.mark.parametrize("selection", ["none", "one@20200101-000000"])
def test_selection_that_is_not_there_is_a_config_error(runs: str, selection: str) -> None:
    with pytest.raises(ConfigError, match=rf"selections: expected a finished selection in .*, got '{selection}'"):
        find_version(runs, selection)
