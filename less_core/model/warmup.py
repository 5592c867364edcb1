"""The warmup: a short LoRA training by the Hugging Face Trainer, with a checkpoint at the end of every epoch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch.optim import Optimizer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from less_core.data.encoding import EncodedExample
from less_core.model.adapter import adapter_config, adapter_tensors, canonical_name
from less_core.model.checkpoint import AdamState, Checkpoint
from less_core.model.training import Recipe, train
from less_core.settings.select import WarmupSettings


def train_warmup(
    model: PeftModel,
    examples: Sequence[EncodedExample],
    settings: WarmupSettings,
    work_folder: Path,
    on_checkpoint: Callable[[int, Checkpoint], None],
    on_batch: Callable[[int], None],
) -> int:
    """Train the adapter in place and hand over a checkpoint at the end of each epoch; return the optimizer steps of all epochs.

    A training that was stopped goes on from its last whole epoch, which the Trainer keeps in `work_folder`; epochs from then on are
    handed over.

    Args:
        model: With a fresh adapter; its device decides where the training runs.
        examples: Each with at least one label.
        settings: Epochs, learning rate, batch size and seed.
        work_folder: Local folder for the Trainer's own state.
        on_checkpoint: Called with the epoch, counted from 1, and the checkpoint.
        on_batch: Called after every micro-batch with the number of its examples; what it raises ends the training.
    """
    recipe = Recipe(settings.epochs, settings.learning_rate, settings.batch_size, settings.micro_batch_size, settings.seed)
    return train(model, examples, recipe, work_folder, on_batch, [_EpochEnd(on_checkpoint)])


class _EpochEnd(TrainerCallback):
    """Notes the learning rate of every optimizer step and hands over a checkpoint when an epoch ends."""

    def __init__(self, on_checkpoint: Callable[[int, Checkpoint], None]) -> None:
        self._on_checkpoint = on_checkpoint
        self._rates: list[float] = []

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, *, optimizer: Optimizer, **kwargs: Any
    ) -> None:
        self._rates.append(float(optimizer.param_groups[0]["lr"]))

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: PeftModel,
        optimizer: Optimizer,
        **kwargs: Any,
    ) -> None:
        checkpoint = Checkpoint(
            step=state.global_step,
            learning_rate=sum(self._rates) / len(self._rates),
            adapter_config=adapter_config(model),
            adapter=adapter_tensors(model),
            adam=adam_state(model, optimizer, state.global_step),
        )
        self._rates.clear()
        self._on_checkpoint(round(state.epoch or 0), checkpoint)


def adam_state(model: PeftModel, optimizer: Optimizer, step: int) -> AdamState:
    """Return copies of AdamW's moments by canonical parameter name, on the CPU."""
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    state = {canonical_name(name): inner.state[p] for name, p in model.named_parameters() if p in inner.state}
    beta1, beta2 = inner.param_groups[0]["betas"]
    first = {name: s["exp_avg"].detach().float().to("cpu", copy=True) for name, s in state.items()}
    second = {name: s["exp_avg_sq"].detach().float().to("cpu", copy=True) for name, s in state.items()}
    return AdamState(step, beta1, beta2, first, second)
