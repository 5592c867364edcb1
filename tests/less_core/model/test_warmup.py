"""The warmup training: what its checkpoints hold, and that being stopped between epochs changes nothing."""

from pathlib import Path

import pytest
import torch
from samples import encoded_examples

from less_core.model.adapter import lora_parameters
from less_core.model.checkpoint import Checkpoint
from less_core.model.loading import add_lora
from less_core.model.warmup import train_warmup
from less_core.settings.select import LoraSettings, WarmupSettings

SETTINGS = WarmupSettings(epochs=3, batch_size=4, micro_batch_size=2, learning_rate=1e-2, seed=5)


class StopError(Exception):
    pass


def train(base_models, folder: Path, stop_after: int = 0) -> dict[int, Checkpoint]:
    model = add_lora(base_models["grouped-query"](), LoraSettings(rank=2, alpha=4, target_modules=["q_proj", "v_proj"]), seed=SETTINGS.seed)
    kept: dict[int, Checkpoint] = {}

    def keep(epoch: int, checkpoint: Checkpoint) -> None:
        if stop_after and epoch > stop_after:
            raise StopError
        kept[epoch] = checkpoint

    assert train_warmup(model, encoded_examples(), SETTINGS, folder, keep, lambda examples: None) == 9
    return kept


def test_checkpoint_an_epoch_with_moments_of_every_parameter_and_the_epochs_mean_rate(base_models, tmp_path) -> None:
    kept = train(base_models, tmp_path / "work")
    assert {epoch: checkpoint.step for epoch, checkpoint in kept.items()} == {1: 3, 2: 6, 3: 9}
    # Nine steps, linear from 1e-2 to 0, no rising part: step s is taken at 1e-2 (1 - s / 9).
    for epoch, checkpoint in kept.items():
        expected = sum(1e-2 * (1 - s / 9) for s in range(3 * epoch - 3, 3 * epoch)) / 3
        assert checkpoint.learning_rate == pytest.approx(expected)
    model = add_lora(base_models["grouped-query"](), LoraSettings(rank=2, alpha=4, target_modules=["q_proj", "v_proj"]))
    shapes = {name: p.shape for name, p in lora_parameters(model).items()}
    for checkpoint in kept.values():
        for tensors in (checkpoint.adapter, checkpoint.adam.first_moment, checkpoint.adam.second_moment):
            assert {name: t.shape for name, t in tensors.items()} == shapes
        assert all((t > 0).any() for t in checkpoint.adam.second_moment.values())
    assert not torch.equal(*(torch.cat([t.flatten() for t in kept[e].adapter.values()]) for e in (1, 3)))


def test_warmup_stopped_in_an_epoch_goes_on_from_the_last_whole_one_and_ends_the_same(base_models, tmp_path) -> None:
    whole = train(base_models, tmp_path / "whole")
    with pytest.raises(StopError):
        train(base_models, tmp_path / "stopped", stop_after=1)
    resumed = train(base_models, tmp_path / "stopped")
    assert sorted(resumed) == [2, 3]  # the first epoch is not trained again
    for epoch, checkpoint in resumed.items():
        assert checkpoint.learning_rate == pytest.approx(whole[epoch].learning_rate)
        for name, tensor in checkpoint.adapter.items():
            torch.testing.assert_close(tensor, whole[epoch].adapter[name], rtol=0, atol=0)
        for name, tensor in checkpoint.adam.second_moment.items():
            torch.testing.assert_close(tensor, whole[epoch].adam.second_moment[name], rtol=0, atol=0)
