"""Training by the Hugging Face Trainer, of an adapter or of all weights, that goes on from its last whole epoch."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint

from less_core.data.encoding import EncodedExample
from less_core.model.batching import collate

WARMUP_SHARE = 0.03  # of the optimizer steps, at a rising learning rate


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: AdamW, linear schedule."""

    epochs: int
    learning_rate: float
    batch_size: int
    micro_batch_size: int
    seed: int


def train(
    model: nn.Module,
    examples: Sequence[EncodedExample],
    recipe: Recipe,
    work_folder: Path,
    on_batch: Callable[[int], None],
    callbacks: Sequence[TrainerCallback] = (),
) -> int:
    """Train the weights that take a gradient in place; return the optimizer steps of all epochs. The model is in evaluation mode after it.

    A training that was stopped goes on from its last whole epoch, which the Trainer keeps in `work_folder`.

    Args:
        model: Its device decides where the training runs.
        examples: Each with at least one label.
        recipe: Epochs, learning rate, batch size and seed.
        work_folder: Local folder for the Trainer's own state.
        on_batch: Called after every micro-batch with the number of its examples; what it raises ends the training.
        callbacks: Told of the training's steps and epochs.
    """
    micro = min(recipe.micro_batch_size, recipe.batch_size)
    accumulate = math.ceil(recipe.batch_size / micro)
    steps = recipe.epochs * math.ceil(math.ceil(len(examples) / micro) / accumulate)
    device = next(model.parameters()).device.type
    arguments = TrainingArguments(
        output_dir=str(work_folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulate,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        # A schedule of a few steps would spend its whole first epoch at a rate of zero.
        warmup_steps=math.ceil(WARMUP_SHARE * steps) if steps * WARMUP_SHARE >= 1 else 0,
        weight_decay=0.0,
        optim="adamw_torch",
        seed=recipe.seed,
        save_strategy="epoch",
        save_total_limit=1,
        logging_strategy="epoch",
        report_to=[],
        disable_tqdm=True,
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        remove_unused_columns=False,
        label_names=["labels"],
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=list(examples),
        data_collator=collate,
        callbacks=[*callbacks, _BatchEnd(on_batch, micro, len(examples))],
    )
    trainer.remove_callback(PrinterCallback)  # whoever trains is told by callbacks all that is worth a line
    trainer.train(resume_from_checkpoint=_last_whole(work_folder))
    model.eval()
    return steps


def _last_whole(work_folder: Path) -> str | None:
    """Return the last checkpoint that the Trainer saved whole, and delete what it was stopped in: its state comes last."""
    for folder in work_folder.glob("checkpoint-*"):
        if not (folder / TRAINER_STATE_NAME).is_file():
            shutil.rmtree(folder)
    found: str | None = get_last_checkpoint(str(work_folder)) if work_folder.is_dir() else None
    return found


class _BatchEnd(TrainerCallback):
    """Tells of every micro-batch how many examples it had; the last of an epoch may be smaller than the others."""

    def __init__(self, on_batch: Callable[[int], None], micro: int, examples: int) -> None:
        self._on_batch = on_batch
        self._micro = micro
        self._examples = examples
        self._told = 0  # in this epoch

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._told = 0

    def on_substep_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._tell()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._tell()

    def _tell(self) -> None:
        count = min(self._micro, self._examples - self._told)
        self._told += count
        self._on_batch(count)
