"""Checkpoints made elsewhere: by the Hugging Face Trainer or by the LESS scripts. No pickle is ever executed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor

from less_core.errors import ConfigError
from less_core.model.adapter import canonical_name, check_match, lora_parameters
from less_core.model.checkpoint import AdamState, Checkpoint

BETAS = (0.9, 0.999)  # of AdamW in the LESS scripts, whose optimizer.bin need not say


def import_checkpoint(folder: Path, model: PeftModel, *, after_step: int) -> Checkpoint:
    """Return a checkpoint from an adapter, an optimizer state and `trainer_state.json`.

    Args:
        folder: With adapter_model.safetensors or .bin, and optimizer.bin (keyed by parameter name, the LESS scripts) or
            optimizer.pt (keyed by index, the Trainer).
        model: What it must fit.
        after_step: Step of the checkpoint before, so that learning rates are averaged over this epoch alone.

    Raises:
        ConfigError: A file is missing or does not match the model; names the file and the parameter.
    """
    state = _trainer_state(folder)
    step = int(state["global_step"])
    config = _adapter_config(folder, model)
    adapter = {canonical_name(name): tensor.float() for name, tensor in _adapter(folder).items()}
    check_match(str(folder), model, adapter, "adapter weights")
    return Checkpoint(
        step=step,
        learning_rate=_mean_learning_rate(folder, state, after_step, step),
        adapter_config=config,
        adapter=adapter,
        adam=_adam_state(folder, model, step),
    )


def _trainer_state(folder: Path) -> dict[str, Any]:
    path = folder / "trainer_state.json"
    try:
        state: dict[str, Any] = json.loads(path.read_text())
        int(state["global_step"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        got = f"{type(error).__name__}: {error}"
        raise ConfigError(
            str(path), "the Trainer's state with global_step", got, "Name a folder checkpoint-N that the Trainer saved."
        ) from None
    return state


def _mean_learning_rate(folder: Path, state: Mapping[str, Any], after_step: int, step: int) -> float:
    entries = [e for e in state.get("log_history", []) if "learning_rate" in e and after_step < e.get("step", 0) <= step]
    if not entries:
        where = str(folder / "trainer_state.json")
        raise ConfigError(
            where, f"learning rates logged from step {after_step + 1} to {step}", "none", "Train with logging_steps of an epoch or less."
        )
    return float(sum(e["learning_rate"] for e in entries) / len(entries))


def _adapter_config(folder: Path, model: PeftModel) -> dict[str, Any]:
    path = folder / "adapter_config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(str(path), "the adapter's configuration", str(error), "Name a folder that peft saved.") from None
    ours = model.peft_config["default"]
    for key, mine in (("r", ours.r), ("lora_alpha", ours.lora_alpha)):
        if config.get(key) != mine:
            raise ConfigError(
                str(path), f"{key} = {mine} as in model.lora", repr(config.get(key)), "Set model.lora as the adapter was trained."
            )
    return config


def _adapter(folder: Path) -> dict[str, Tensor]:
    if (folder / "adapter_model.safetensors").is_file():
        return load_file(folder / "adapter_model.safetensors")
    return _load_pickle_safely(folder / "adapter_model.bin", "adapter_model.safetensors or adapter_model.bin")


def _load_pickle_safely(path: Path, expected: str) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(str(path.parent), expected, "no such file", "Name a folder checkpoint-N with adapter and optimizer.")
    try:
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a hostile or torn file provokes
        # torch's own text goes on with advice to run the file; an empty file provokes an error without one.
        got = f"{type(error).__name__}: {str(error).partition('. ')[0].strip()[:200]}".rstrip(": ")
        raise ConfigError(
            str(path), "a file of plain tensors", got, "Files that run code when loaded are refused; save tensors only."
        ) from None
    return loaded


def _adam_state(folder: Path, model: PeftModel, step: int) -> AdamState:
    by_name = (folder / "optimizer.bin").is_file()
    path = folder / ("optimizer.bin" if by_name else "optimizer.pt")
    saved = _load_pickle_safely(path, "optimizer.bin or optimizer.pt")
    if not isinstance(saved, dict) or not isinstance(saved.get("state"), dict):
        raise ConfigError(
            str(path), "an optimizer state with `state`", f"{type(saved).__name__}", "Save the optimizer with the checkpoint."
        )
    groups = saved.get("param_groups") or [{}]
    state = saved["state"] if by_name else _named(path, model, saved["state"], groups)
    moments: list[dict[str, Tensor]] = []
    for key in ("exp_avg", "exp_avg_sq"):
        tensors = {
            canonical_name(name): s[key].float() for name, s in state.items() if isinstance(s, Mapping) and isinstance(s.get(key), Tensor)
        }
        check_match(str(path), model, tensors, f"{key} of Adam")
        moments.append(tensors)
    beta1, beta2 = groups[0].get("betas", BETAS)
    return AdamState(step, float(beta1), float(beta2), *moments)


def _named(path: Path, model: PeftModel, state: Mapping[int, Any], groups: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return an optimizer state keyed by name: the Trainer numbers parameters in the model's order, over its groups."""
    names = list(lora_parameters(model))
    numbers = [number for group in groups for number in group.get("params", [])]
    if len(numbers) != len(names):
        raise ConfigError(
            str(path), f"moments of {len(names)} parameters", f"{len(numbers)}", "Use a checkpoint of this model and model.lora."
        )
    return {name: state.get(number, {}) for name, number in zip(names, numbers, strict=True)}
