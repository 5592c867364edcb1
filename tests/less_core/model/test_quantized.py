"""A base model that was saved in 4 bits: refused where its gradients would be wrong, right on a GPU."""

import json
from pathlib import Path

import pytest
import torch

from less_core.errors import ConfigError
from less_core.model.adapter import lora_parameters
from less_core.model.gradients import PerExampleGradients, Slot
from less_core.model.loading import add_lora, check_target_modules, load_base_model
from less_core.settings.select import LoraSettings


def test_quantised_model_on_a_cpu_is_refused_before_its_weights_are_read(tiny_model: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_model / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"config\.json: expected weights that gradients pass through on cpu, got quantised ones"):
        load_base_model(tmp_path, torch.float32, torch.device("cpu"))


def test_linear_layers_of_other_libraries_may_have_an_adapter(base_models) -> None:
    class Linear4bit(torch.nn.Linear):
        """As bitsandbytes names its own."""

    model = base_models["llama"]()
    for layer in model.model.layers:
        layer.self_attn.q_proj.__class__ = Linear4bit
    check_target_modules(model, LoraSettings(target_modules=["q_proj"]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gradients_through_quantised_weights_equal_those_of_each_example(base_models, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    base_models["llama"]().save_pretrained(tmp_path / "base")
    four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32)
    AutoModelForCausalLM.from_pretrained(tmp_path / "base", quantization_config=four_bits).save_pretrained(tmp_path / "small")
    model = add_lora(load_base_model(tmp_path / "small", torch.float32, torch.device("cuda")), LoraSettings(rank=4, alpha=8)).eval()
    for parameter in lora_parameters(model).values():
        parameter.data.normal_(std=0.1)
    gradients = PerExampleGradients(model)
    ids = torch.randint(3, 400, (3, 12), generator=torch.Generator().manual_seed(0)).cuda()

    def flat(batch: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(len(batch), gradients.size, device="cuda")

        def consume(slot: Slot, gradient: torch.Tensor) -> None:
            out[:, slot.start : slot.start + slot.size] = gradient

        gradients.run(batch, batch, consume)
        return out

    together, alone = flat(ids), torch.cat([flat(row[None]) for row in ids])
    assert (torch.linalg.norm(together - alone, dim=1) <= 1e-4 * torch.linalg.norm(alone, dim=1)).all()
    assert together.norm() > 0
