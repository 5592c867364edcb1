"""The same selection from six plain fields, for whoever does not want to see every setting."""

from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from flows.select_data import run_selection
from less_core.refs import RunRef
from less_core.settings_file import parse_settings

# What a laptop can do in minutes with a model of some hundred million parameters; all else as the paper has it.
SMALL: dict[str, Any] = {
    "model": {"lora": {"rank": 8, "alpha": 32}},
    "warmup": {"epochs": 2, "batch_size": 16, "learning_rate": 2e-4},
    "features": {"max_length": 512},
    "execution": {"shard_size": 128},
}


@flow(name="quick-select", flow_run_name="{name}", validate_parameters=True, persist_result=False)
def quick_select(
    name: str,
    pool: str,
    target: str,
    model: str,
    share: Annotated[float, Field(gt=0, le=1)] = 0.05,
    size: Literal["small", "paper"] = "small",
    results: str = "runs",
) -> RunRef:
    """Select the training examples that most help a model on a target, from a few plain fields.

    Args:
        name: Names the selection and the folder of its results. Letters, digits, dots and dashes, such as maths-1.
        pool: The examples to select from - a file of JSONL, JSON or Parquet, a folder of such files, or a pattern such as data/*.jsonl.
        target: A few examples of what the model should get good at - a file of JSONL, a conversation or a prompt and completion a line.
        model: The base model - a folder with safetensors and tokenizer, or a hub name such as HuggingFaceTB/SmolLM2-135M-Instruct.
        share: How much of the pool to select. 0.05 is the best 5 percent.
        size: small - LoRA of rank 8, 512 tokens, 2 epochs; minutes on a laptop. paper - rank 128, 2048 tokens, 4 epochs; for a GPU.
        results: Folder of the results. The selected examples are then in <results>/<name>/selected/target.jsonl.
    """
    chosen: dict[str, Any] = {
        "name": name,
        "pools": [{"name": "pool", "path": pool}],
        "targets": [{"name": "target", "path": target}],
        "selection": {"by": "fraction", "amount": share},
        "runs": results,
    }
    size_settings = SMALL if size == "small" else {}
    return run_selection(parse_settings(size_settings | chosen | {"model": {"path": model} | size_settings.get("model", {})}, where=name))
