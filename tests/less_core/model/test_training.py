"""Training an adapter or all weights: what it changes, what it leaves alone, and that being stopped changes nothing."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from samples import encoded_examples
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback

from less_core.model.loading import add_lora
from less_core.model.losses import IGNORE
from less_core.model.training import Recipe, train
from less_core.settings.select import LoraSettings

pytestmark = pytest.mark.slow

Models = dict[str, Callable[[], PreTrainedModel]]
Weights = dict[str, Tensor]
RECIPE = Recipe(epochs=2, learning_rate=1e-2, batch_size=4, micro_batch_size=2, seed=5)
BATCHES = 5  # of two examples, an epoch
KINDS = {"lora": "grouped-query", "full": "gpt2"}  # GPT-2 has dropout of its own, and one matrix for both ends


class StopError(Exception):
    pass


def fresh(base_models: Models, kind: str) -> nn.Module:
    base = base_models[KINDS[kind]]()
    if kind == "full":
        return base
    return add_lora(base, LoraSettings(rank=2, alpha=64, target_modules=["q_proj", "v_proj"]), seed=1)


def weights(model: nn.Module) -> Weights:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def run(base_models: Models, kind: str, folder: Path, *, seed: int = RECIPE.seed, stop_at: int = 0) -> tuple[Weights, list[int]]:
    """Train a fresh model; return its weights and what was told after every batch. `stop_at` is the batch that raises, from 1."""
    told: list[int] = []

    def tell(examples: int) -> None:
        told.append(examples)
        if len(told) == stop_at:
            raise StopError

    model = fresh(base_models, kind)
    recipe = Recipe(RECIPE.epochs, RECIPE.learning_rate, RECIPE.batch_size, RECIPE.micro_batch_size, seed)
    train(model, encoded_examples(), recipe, folder, tell)
    return weights(model), told


def assert_equal(one: Weights, other: Weights) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)


def total_loss(model: nn.Module) -> float:
    """The sum of the model's own losses, a batch of one each."""
    losses = []
    for example in encoded_examples():
        ids = torch.tensor([example.input_ids])
        labels = torch.where(torch.tensor([example.label_mask]), ids, IGNORE)
        with torch.no_grad():
            losses.append(float(model(input_ids=ids, labels=labels).loss))
    return sum(losses)


@dataclass(frozen=True)
class Trained:
    """A training that nothing disturbed."""

    kind: str
    model: nn.Module
    before: Weights
    loss_before: float
    steps: int
    told: list[int]
    folder: Path


@pytest.fixture(scope="module", params=list(KINDS))
def trained(request: pytest.FixtureRequest, base_models: Models, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    kind, told, folder = request.param, [], tmp_path_factory.mktemp("whole")
    model = fresh(base_models, kind).eval()
    before, loss = weights(model), total_loss(model)
    steps = train(model, encoded_examples(), RECIPE, folder, told.append)
    return Trained(kind, model, before, loss, steps, told, folder)


def test_training_lowers_the_loss_on_its_own_examples(trained: Trained) -> None:
    assert total_loss(trained.model) < 0.995 * trained.loss_before


def test_training_leaves_the_model_in_evaluation_mode(trained: Trained) -> None:
    assert [name for name, module in trained.model.named_modules() if module.training] == []


def test_training_changes_the_adapter_alone_or_every_weight(trained: Trained) -> None:
    after = weights(trained.model)
    changed = {name for name in after if not torch.equal(after[name], trained.before[name])}
    assert changed == {name for name in after if trained.kind == "full" or "lora_" in name}


def test_training_tells_of_every_batch_and_returns_its_steps(trained: Trained) -> None:
    assert trained.told == [2] * BATCHES * RECIPE.epochs
    assert trained.steps == 3 * RECIPE.epochs  # two steps of two batches each and one of one


def test_training_of_the_same_seed_gives_the_same_weights_and_of_another_others(trained: Trained, base_models, tmp_path) -> None:
    same, _ = run(base_models, trained.kind, tmp_path / "same")
    other, _ = run(base_models, trained.kind, tmp_path / "other", seed=6)
    assert_equal(same, weights(trained.model))
    moved = [name for name in same if not torch.equal(same[name], trained.before[name])]
    assert moved
    assert not any(torch.equal(same[name], other[name]) for name in moved)


@pytest.mark.parametrize("stop_at", [2, BATCHES + 2])
def test_training_stopped_in_an_epoch_goes_on_from_the_last_whole_one_and_ends_the_same(
    trained: Trained, base_models, tmp_path, stop_at: int
) -> None:
    with pytest.raises(StopError):
        run(base_models, trained.kind, tmp_path, stop_at=stop_at)
    resumed, told = run(base_models, trained.kind, tmp_path)
    assert told == [2] * (2 * BATCHES if stop_at < BATCHES else BATCHES)  # no whole epoch is trained again
    assert_equal(resumed, weights(trained.model))


def test_training_that_is_whole_in_its_folder_is_not_trained_again(trained: Trained, base_models, tmp_path) -> None:
    shutil.copytree(trained.folder, tmp_path / "left")
    again, told = run(base_models, trained.kind, tmp_path / "left")
    assert told == []
    assert_equal(again, weights(trained.model))


def test_training_killed_while_it_saved_an_epoch_goes_on_from_the_one_before(trained: Trained, base_models, tmp_path) -> None:
    (whole,) = trained.folder.glob("checkpoint-*")
    shutil.copytree(trained.folder, tmp_path / "left")
    half = tmp_path / "left" / "checkpoint-99"
    half.mkdir()
    for path in whole.glob("*.safetensors"):  # weights come first, trainer_state.json last
        shutil.copy(path, half)
    again, _ = run(base_models, trained.kind, tmp_path / "left")
    assert_equal(again, weights(trained.model))


@pytest.mark.parametrize(
    ("batch", "micro", "told", "steps"), [(4, 8, [4, 4, 2], 3), (3, 2, [2] * 5, 3), (128, 5, [5, 5], 1)], ids=["cut", "uneven", "one step"]
)
def test_training_takes_micro_batches_of_at_most_a_batch_and_as_many_steps_as_it_says(
    base_models, tmp_path, batch: int, micro: int, told: list[int], steps: int
) -> None:
    class Count(TrainerCallback):
        steps = 0

        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            self.steps += 1

    found: list[int] = []
    count = Count()
    recipe = Recipe(epochs=1, learning_rate=1e-3, batch_size=batch, micro_batch_size=micro, seed=0)
    assert train(fresh(base_models, "lora"), encoded_examples(), recipe, tmp_path, found.append, [count]) == steps
    assert (found, count.steps) == (told, steps)
