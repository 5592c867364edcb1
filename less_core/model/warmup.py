"""The warmup: a short LoRA training by the Hugging Face Trainer, with a checkpoint at the end of every epoch."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch.optim import Optimizer
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from less_core.config import WarmupSettings
from less_core.data.encoding import EncodedExample
from less_core.model.adapter import adapter_tensors, canonical_name
from less_core.model.batching import collate
from less_core.model.checkpoint import AdamState, Checkpoint

WARMUP_SHARE = 0.03  # of the optimizer steps, at a rising learning rate


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
    micro = min(settings.micro_batch_size, settings.batch_size)
    accumulate = math.ceil(settings.batch_size / micro)
    steps = settings.epochs * math.ceil(math.ceil(len(examples) / micro) / accumulate)
    arguments = TrainingArguments(
        output_dir=str(work_folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulate,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        # A schedule of a few steps would spend its whole first epoch at a rate of zero.
        warmup_steps=math.ceil(WARMUP_SHARE * steps) if steps * WARMUP_SHARE >= 1 else 0,
        weight_decay=0.0,
        optim="adamw_torch",
        seed=settings.seed,
        save_strategy="epoch",
        save_total_limit=1,
        logging_strategy="epoch",
        report_to=[],
        disable_tqdm=True,
        use_cpu=model.device.type == "cpu",
        dataloader_pin_memory=model.device.type == "cuda",
        remove_unused_columns=False,
        label_names=["labels"],
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=list(examples),
        data_collator=collate,
        callbacks=[_EpochEnd(on_checkpoint), _BatchEnd(on_batch, micro)],
    )
    trainer.remove_callback(PrinterCallback)  # `on_checkpoint` is told all that is worth a line
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(work_folder)) if work_folder.is_dir() else None)
    model.eval()
    return steps


class _BatchEnd(TrainerCallback):
    """Tells of every micro-batch; the last of an epoch may be smaller than told."""

    def __init__(self, on_batch: Callable[[int], None], examples: int) -> None:
        self._on_batch = on_batch
        self._examples = examples

    def on_substep_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._on_batch(self._examples)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._on_batch(self._examples)


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


def adapter_config(model: PeftModel) -> dict[str, Any]:
    """Return the adapter's configuration as peft writes it to adapter_config.json."""
    config = model.peft_config["default"].to_dict()
    return {key: sorted(value) if isinstance(value, set) else getattr(value, "value", value) for key, value in config.items()}


def adam_state(model: PeftModel, optimizer: Optimizer, step: int) -> AdamState:
    """Return copies of AdamW's moments by canonical parameter name, on the CPU."""
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    state = {canonical_name(name): inner.state[p] for name, p in model.named_parameters() if p in inner.state}
    beta1, beta2 = inner.param_groups[0]["betas"]
    first = {name: s["exp_avg"].detach().float().to("cpu", copy=True) for name, s in state.items()}
    second = {name: s["exp_avg_sq"].detach().float().to("cpu", copy=True) for name, s in state.items()}
    return AdamState(step, beta1, beta2, first, second)
