"""Checkpoints made elsewhere: by the Hugging Face Trainer or by the LESS scripts. No pickle is ever executed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from less_core.errors import ConfigError
from less_core.model.adapter import canonical_name, check_match, lora_parameters
from less_core.model.checkpoint import AdamState, Checkpoint

BETAS = (0.9, 0.999)  # of AdamW in the LESS scripts, whose optimizer.bin need not say
OTHERWISE = ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern")  # an adapter that scales or adds otherwise than ours
_SAVED = "Use the file as the Trainer or the LESS scripts saved it."


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
    step: int = state["global_step"]
    return Checkpoint(
        step=step,
        learning_rate=_mean_learning_rate(folder, state, after_step, step),
        adapter_config=_adapter_config(folder, model),
        adapter=_adapter(folder, model),
        adam=_adam_state(folder, model, step),
    )


def _read_object(path: Path, expected: str, do: str) -> dict[str, Any]:
    """Return the object in a file of JSON."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(str(path), expected, f"{type(error).__name__}: {error}", do) from None
    if not isinstance(value, dict):
        raise ConfigError(str(path), expected, type(value).__name__, do)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant}, which is no JSON")


def _is_number(value: object) -> bool:
    """Tell whether a value can be a number of steps or a learning rate."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _trainer_state(folder: Path) -> dict[str, Any]:
    path = folder / "trainer_state.json"
    expected, do = "the Trainer's state with global_step", "Name a folder checkpoint-N that the Trainer saved."
    state = _read_object(path, expected, do)
    step = state.get("global_step")
    if not isinstance(step, int) or not _is_number(step) or step == 0:
        raise ConfigError(str(path), expected, f"{step!r}", do)
    return state


def _mean_learning_rate(folder: Path, state: Mapping[str, Any], after_step: int, step: int) -> float:
    log = state.get("log_history")
    entries = [e for e in log if isinstance(e, dict) and "learning_rate" in e] if isinstance(log, list) else []
    here = [e for e in entries if _is_number(e.get("step")) and after_step < e["step"] <= step]
    if not here or not all(_is_number(e["learning_rate"]) for e in here):
        got = "some that are no numbers" if here else "none"
        do = "Train with logging_steps of an epoch or less."
        raise ConfigError(str(folder / "trainer_state.json"), f"learning rates logged from step {after_step + 1} to {step}", got, do)
    return float(sum(e["learning_rate"] for e in here) / len(here))


def _adapter_config(folder: Path, model: PeftModel) -> dict[str, Any]:
    path = folder / "adapter_config.json"
    config = _read_object(path, "the adapter's configuration", "Name a folder that peft saved.")
    ours = model.peft_config["default"]
    for key, mine in (("r", ours.r), ("lora_alpha", ours.lora_alpha)):
        if config.get(key) != mine:
            raise ConfigError(
                str(path), f"{key} = {mine} as in model.lora", repr(config.get(key)), "Set model.lora as the adapter was trained."
            )
    for key in OTHERWISE:
        if config.get(key):
            do = "Train the warmup with plain LoRA of one rank and alpha."
            raise ConfigError(str(path), f"plain LoRA, without {key}", repr(config[key]), do)
    return config


def _adapter(folder: Path, model: PeftModel) -> dict[str, Tensor]:
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        path = folder / "adapter_model.bin"
        loaded = _load_pickle_safely(path, "adapter_model.safetensors or adapter_model.bin")
        return _tensors(path, model, loaded, "adapter weights")
    try:
        return _tensors(path, model, load_file(path), "adapter weights")
    except SafetensorError as error:
        raise ConfigError(str(path), "a whole safetensors file", str(error), "Copy the file again.") from None


def _tensors(path: Path, model: PeftModel, found: object, what: str) -> dict[str, Tensor]:
    """Return tensors that are the model's, as float32 by canonical name, each with memory of its own."""
    if not isinstance(found, Mapping):
        raise ConfigError(str(path), f"{what} by name", type(found).__name__, _SAVED)
    tensors: dict[str, Tensor] = {}
    for name, value in found.items():
        if not isinstance(name, str) or not _is_plain(value):
            raise ConfigError(str(path), f"{what} as plain tensors of floats by name", f"{str(name)[:100]}: {_kind(value)}", _SAVED)
        if canonical_name(name) in tensors:
            raise ConfigError(str(path), f"{what} of {canonical_name(name)} once", "twice", _SAVED)
        tensors[canonical_name(name)] = value.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    check_match(str(path), model, tensors, what)
    return tensors


def _is_plain(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point() and value.device.type == "cpu"


def _kind(value: object) -> str:
    return f"{value.dtype} on {value.device}, {value.layout}" if isinstance(value, Tensor) else type(value).__name__


def _load_pickle_safely(path: Path, expected: str) -> object:
    if not path.is_file():
        raise ConfigError(str(path.parent), expected, "no such file", "Name a folder checkpoint-N with adapter and optimizer.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a hostile or torn file provokes
        # torch's own text goes on with advice to run the file; an empty file provokes an error without one.
        got = f"{type(error).__name__}: {str(error).partition('. ')[0].strip()[:200]}".rstrip(": ")
        raise ConfigError(
            str(path), "a file of plain tensors", got, "Files that run code when loaded are refused; save tensors only."
        ) from None


def _adam_state(folder: Path, model: PeftModel, step: int) -> AdamState:
    by_name = (folder / "optimizer.bin").is_file()
    path = folder / ("optimizer.bin" if by_name else "optimizer.pt")
    saved = _load_pickle_safely(path, "optimizer.bin or optimizer.pt")
    if not isinstance(saved, dict) or not isinstance(saved.get("state"), dict):
        raise ConfigError(
            str(path), "an optimizer state with `state`", f"{type(saved).__name__}", "Save the optimizer with the checkpoint."
        )
    groups = saved.get("param_groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, Mapping) for group in groups):
        raise ConfigError(str(path), "an optimizer state with `param_groups` as a list of groups", type(groups).__name__, _SAVED)
    state = saved["state"] if by_name else _named(path, model, saved["state"], groups)
    moments = []
    for key in ("exp_avg", "exp_avg_sq"):
        found = {name: s[key] for name, s in state.items() if isinstance(s, Mapping) and key in s}
        moments.append(_tensors(path, model, found, f"{key} of Adam"))
    return AdamState(step, *_betas(path, groups), *moments)


def _betas(path: Path, groups: list[Mapping[str, Any]]) -> tuple[float, float]:
    betas = groups[0].get("betas", BETAS) if groups else BETAS
    if not isinstance(betas, list | tuple) or len(betas) != 2 or not all(_is_number(beta) and beta < 1 for beta in betas):
        raise ConfigError(str(path), "betas of Adam from 0 to below 1", repr(betas), _SAVED)
    return float(betas[0]), float(betas[1])


def _named(path: Path, model: PeftModel, state: Mapping[int, Any], groups: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return an optimizer state keyed by name: the Trainer numbers parameters in the model's order, over its groups."""
    names = list(lora_parameters(model))
    numbered = [group.get("params") for group in groups]
    numbers = [number for group in numbered if isinstance(group, list) for number in group if isinstance(number, int)]
    if len(numbers) != len(names) or len(set(numbers)) != len(names):
        raise ConfigError(
            str(path), f"moments of {len(names)} parameters", f"{len(set(numbers))}", "Use a checkpoint of this model and model.lora."
        )
    return {name: state.get(number, {}) for name, number in zip(names, numbers, strict=True)}
