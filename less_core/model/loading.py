"""Loading a base model, its tokenizer and a LoRA adapter; nothing in a file is ever executed."""

import time
import warnings
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils.logging import disable_progress_bar

from less_core.errors import ConfigError
from less_core.files.fingerprint import fingerprint, fingerprint_bytes
from less_core.model.adapter import lora_parameters
from less_core.model.place import is_model_folder
from less_core.settings.select import LoraSettings

warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")  # peft asks for it, once in every process
disable_progress_bar()  # of loading weights: it would break the bars and logs of a run

WEIGHTS = "*.safetensors"
ARCHITECTURE = "config.json"
ADAPTER = "adapter_config.json"


def model_folder(path: str, *, weights: bool = True) -> Path:
    """Return the folder of a model: a local one, or the hub's snapshot, fetched once.

    Args:
        path: A folder, or a name on the hub.
        weights: Whether to fetch the weights from the hub; without, what describes the model comes in seconds.

    Raises:
        ConfigError: It is neither, or holds no safetensors.
    """
    folder = Path(path).expanduser()
    needed = [ARCHITECTURE, WEIGHTS]
    if not is_model_folder(path):
        needed = needed if weights else [ARCHITECTURE]
        try:
            folder = Path(snapshot_download(path, allow_patterns=[*needed, "*.json", "*.jinja", "*.model", "*.txt"]))
        except Exception as error:  # the hub client raises many kinds; the user needs the name and the reason
            got = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise ConfigError(
                "model.path", f"{path!r} as a folder or on the hub", got, "Check the name, the network and your token."
            ) from error
    if not all(any(folder.glob(name)) for name in needed):
        found = sorted(p.name for p in folder.iterdir())[:8]
        raise ConfigError("model.path", f"{' and '.join(needed)} in {folder}", str(found), "Save the model with save_pretrained.")
    return folder


def model_fingerprint(folder: Path) -> str:
    """Return the address of a model's architecture and weights, read whole, so that a copy elsewhere is the same model."""
    files = [folder / ARCHITECTURE, *sorted(folder.glob(WEIGHTS))]
    return fingerprint({path.name: fingerprint_bytes(_pieces(path)) for path in files})


def _pieces(path: Path, size: int = 1 << 22) -> Any:
    with open(path, "rb") as file:
        while piece := file.read(size):
            yield piece


def pick_device(name: str) -> torch.device:
    """Return the device; auto is CUDA where there is one.

    Raises:
        ConfigError: CUDA was asked for and is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("execution.device", "a CUDA device", "none that torch sees", "Use device: cpu, or install a CUDA build of torch.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the base model's dtype; auto is bfloat16 on CUDA and float32 on CPU."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def load_tokenizer(folder: Path) -> Any:
    """Return the folder's fast tokenizer.

    Raises:
        ConfigError: The folder has none.
    """
    try:
        return AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # transformers raises many kinds here
        got = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise ConfigError("model.path", f"a tokenizer in {folder}", got, "Save it there with tokenizer.save_pretrained.") from error


def load_base_model(folder: Path, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """Return the base model in evaluation mode on the device.

    One that was saved quantised (bitsandbytes) stays so; its gradients are those through the quantised weights.

    Raises:
        ConfigError: A quantised model is to run on a CPU, where bitsandbytes (0.50) computes without gradients and only warns of it.
    """
    quantised = bool(getattr(AutoConfig.from_pretrained(folder, trust_remote_code=False), "quantization_config", None))
    if quantised and device.type != "cuda":
        do = "Use the model in full precision, or a GPU."
        raise ConfigError(str(folder / ARCHITECTURE), f"weights that gradients pass through on {device.type}", "quantised ones", do)
    place = {"device_map": {"": device}} if quantised else {}  # such a model cannot be moved later
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True, **place)
    model.config.use_cache = False
    return (model if place else model.to(device)).eval()


def load_trained(folder: Path, base: Path, dtype: torch.dtype, device: torch.device) -> Any:
    """Return a trained model in evaluation mode: an adapter on its base model, or all weights, as `folder` has them."""
    if (folder / ADAPTER).is_file():
        return PeftModel.from_pretrained(load_base_model(base, dtype, device), folder).eval()
    return load_base_model(folder, dtype, device)


def add_lora(base: PreTrainedModel, lora: LoraSettings, *, seed: int = 0, trained: bool = True) -> PeftModel:
    """Return the base model with a fresh adapter; A is drawn from `seed`, B is zero.

    Args:
        base: The model.
        lora: Rank, scale and modules of the adapter.
        seed: Of A.
        trained: Whether an optimizer is to change it, for which its weights are float32. Otherwise they have the base model's dtype, as the
            LESS scripts have them, and nothing is converted at each of them; those of a quantised model stay float32.

    Raises:
        ConfigError: A module named in the settings is not in the model.
    """
    check_target_modules(base, lora)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=int(lora.alpha) if lora.alpha == int(lora.alpha) else lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        fan_in_fan_out=any(type(module).__name__ == "Conv1D" for module in base.modules()),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(base, config, autocast_adapter_dtype=trained)


def check_target_modules(base: PreTrainedModel, lora: LoraSettings) -> None:
    """Check that the model has every module that is to get an adapter; its weights need not be there.

    Raises:
        ConfigError: Names those that it has not, and the linear layers that it has.
    """
    linear = sorted({name.rpartition(".")[2] for name, module in base.named_modules() if isinstance(module, nn.Linear | Conv1D)})
    missing = [module for module in lora.target_modules if module not in linear]
    if missing:
        raise ConfigError("model.lora.target_modules", f"some of {linear}", str(missing), "Name linear layers of this model.")


def check_positions(base: PreTrainedModel, max_length: int, key: str = "features.max_length") -> None:
    """Check that the model has a position for every one of `max_length` tokens; its weights need not be there.

    Raises:
        ConfigError: It has fewer.
    """
    for name, positions in known_positions(base).items():
        if positions < max_length:
            expected = f"at most {positions}, the {name} of the model"
            raise ConfigError(key, expected, str(max_length), f"Set {key} to {positions} or less.")


def known_positions(base: Any) -> dict[str, int]:
    """Return how many tokens a model has positions for, by the names in its configuration; empty where that does not say."""
    config = base.config.get_text_config()
    known = {name: getattr(config, name, None) for name in ("n_positions", "max_position_embeddings")}
    return {name: count for name, count in known.items() if isinstance(count, int) and count > 0}


def outline_model(folder: Path) -> PreTrainedModel:
    """Return the model that config.json describes, on the meta device: every module and shape, no weights.

    Raises:
        ConfigError: It cannot be read, or describes no language model that transformers has.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except Exception as error:  # transformers raises many kinds here, with advice of many lines
        got = f"{type(error).__name__}: {' '.join(str(error).split())[:200].rstrip('.')}"
        do = "Mend the file, or choose a model that transformers has without code of its own."
        raise ConfigError(str(folder / ARCHITECTURE), "the configuration of a causal language model", got, do) from error


def count_parameters(folder: Path) -> int:
    """Return the number of parameters of a model, from its configuration alone."""
    return int(outline_model(folder).num_parameters())


def count_lora_parameters(folder: Path, lora: LoraSettings) -> int:
    """Return the number of LoRA weights of a model, from its configuration alone."""
    model = add_lora(outline_model(folder), lora)
    return sum(p.numel() for p in lora_parameters(model).values())


def hidden_size(folder: Path) -> int:
    """Return the width of a model's hidden states, from its configuration alone."""
    return int(outline_model(folder).config.get_text_config().hidden_size)


def matmul_rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.5) -> float:
    """Return the floating-point operations a second of a matrix product, measured for about `seconds`."""
    a = torch.randn(2048, 2048, device=device, dtype=dtype)
    operations, started = 0, time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds or not operations:
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        operations += 2 * 2048**3
    return operations / elapsed if elapsed else float(operations)
