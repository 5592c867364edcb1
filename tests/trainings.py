"""Checkpoints as the Hugging Face Trainer and the LESS scripts leave them."""

from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from samples import encoded_examples
from transformers import Trainer, TrainingArguments

from less_core.model.batching import collate
from less_core.settings.select import LoraSettings

LORA = LoraSettings(rank=2, alpha=4, target_modules=["q_proj", "v_proj"])


def train(model: PeftModel, folder: Path) -> Path:
    """Train a model for two epochs of two steps; return the folder of the last checkpoint."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=5,
        learning_rate=1e-2,
        save_strategy="epoch",
        logging_steps=1,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    Trainer(model=model, args=arguments, train_dataset=encoded_examples(), data_collator=collate).train()
    model.eval()
    return folder / "checkpoint-4"


def to_less(folder: Path, model: PeftModel) -> None:
    """Turn a Trainer's folder into one of the LESS scripts': an optimizer keyed by the parameters' names, an adapter in .bin."""
    saved = torch.load(folder / "optimizer.pt", weights_only=True)
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    torch.save({"state": {name: saved["state"][i] for i, name in enumerate(names)}}, folder / "optimizer.bin")
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "optimizer.pt").unlink()
    (folder / "adapter_model.safetensors").unlink()
