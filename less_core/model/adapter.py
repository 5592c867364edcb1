"""The LoRA parameters of a model by one canonical name each, whichever library wrote them."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from less_core.errors import ConfigError

_PREFIXES = ("module.", "_fsdp_wrapped_module.", "_orig_mod.")


def canonical_name(name: str) -> str:
    """Return a LoRA parameter's name as an adapter file spells it: without the adapter's name and the wrappers of other libraries."""
    for prefix in _PREFIXES:
        name = name.replace(prefix, "")
    return name.replace(".default.", ".")


def lora_parameters(model: PeftModel) -> dict[str, torch.nn.Parameter]:
    """Return the LoRA weights by canonical name, in the model's own order.

    Raises:
        ConfigError: The adapter trains something other than LoRA matrices, whose gradients are not ours to take.
    """
    config = model.peft_config["default"]
    if config.modules_to_save or config.use_dora or config.bias != "none":
        raise ConfigError(
            "the adapter", "plain LoRA matrices", "trained biases, whole modules or DoRA", "Train the warmup with plain LoRA."
        )
    return {canonical_name(name): p for name, p in model.named_parameters() if ".lora_A." in name or ".lora_B." in name}


def check_match(where: str, model: PeftModel, tensors: Mapping[str, Tensor], what: str) -> None:
    """Check that `tensors` has exactly the model's LoRA parameters, each of the right shape.

    Raises:
        ConfigError: Names the first parameter that differs.
    """
    parameters = lora_parameters(model)
    do = "Use a checkpoint of this base model, and set model.lora as in its adapter_config.json."
    for name, parameter in parameters.items():
        if name not in tensors:
            raise ConfigError(where, f"{what} of {name}", "none", do)
        if tensors[name].shape != parameter.shape:
            raise ConfigError(where, f"{what} of {name} in shape {list(parameter.shape)}", str(list(tensors[name].shape)), do)
    extra = sorted(set(tensors) - set(parameters))
    if extra:
        raise ConfigError(where, f"{what} of the model's {len(parameters)} LoRA parameters only", extra[0], do)


def adapter_tensors(model: PeftModel) -> dict[str, Tensor]:
    """Return copies of the LoRA weights by canonical name, on the CPU."""
    return {name: p.detach().to("cpu", copy=True).contiguous() for name, p in lora_parameters(model).items()}


def set_adapter(where: str, model: PeftModel, tensors: Mapping[str, Tensor]) -> None:
    """Put LoRA weights into the model, the base model left as it is.

    Raises:
        ConfigError: They are not this model's.
    """
    check_match(where, model, tensors, "adapter weights")
    with torch.no_grad():
        for name, parameter in lora_parameters(model).items():
            parameter.copy_(tensors[name])


def randomise_adapter(model: PeftModel, seed: int) -> None:
    """Draw both matrices of every LoRA pair as peft draws A; B is zero in a fresh adapter."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for parameter in lora_parameters(model).values():
            torch.nn.init.kaiming_uniform_(parameter, a=math.sqrt(5))


def adapter_config(model: PeftModel) -> dict[str, Any]:
    """Return the adapter's configuration as peft writes it to adapter_config.json."""
    config = model.peft_config["default"].to_dict()
    return {key: sorted(value) if isinstance(value, set) else getattr(value, "value", value) for key, value in config.items()}
