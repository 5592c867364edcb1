"""The same selection from a few plain fields, for whoever does not want to see every setting."""

import re
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from flows.run.names import typed_or
from flows.run.outcome import answering
from flows.select_data import run_selection
from less_core.errors import LessError
from less_core.refs import RunRef
from less_core.settings.file import parse_settings
from less_core.settings.select import Name

# What a laptop can do in minutes with a model of some hundred million parameters; all else as the paper has it.
SMALL: dict[str, Any] = {
    "model": {"lora": {"rank": 8, "alpha": 32}},
    "warmup": {"epochs": 2, "batch_size": 16, "learning_rate": 2e-4},
    "features": {"max_length": 512},
    "execution": {"shard_size": 128},
}

# Settings that this form has under another name.
FIELDS = {"model.path": "model", "selection.amount": "share", "runs =": "results =", "`runs`": "`results`"}
FEWER = "This form has few settings; the deployment `select` has all of them."
_SETTING = re.compile(r"\b(model|warmup|features|influence|selection|execution|imported)\.[a-z_]+|\bdata_dir\b")


@flow(name="quick-select", flow_run_name=typed_or("{name}"), validate_parameters=True, persist_result=False)
@answering
def quick_select(
    name: Name,
    pool: Annotated[str, Field(min_length=1)],
    target: Annotated[str, Field(min_length=1)],
    model: Annotated[str, Field(min_length=1)],
    share: Annotated[float, Field(gt=0, le=1)] = 0.05,
    size: Literal["small", "paper"] = "small",
    on_bad_row: Literal["error", "skip"] = "error",
    results: Annotated[str, Field(min_length=1)] = "runs",
) -> RunRef:
    """Select the training examples that most help a model on a target, from a few plain fields.

    Args:
        name: Names the selection and the folder of its results. Letters, digits, dots and dashes, such as maths-1.
        pool: The examples to select from - a file of JSONL, JSON or Parquet, a folder of such files, or a pattern such as data/*.jsonl.
        target: A few examples of what the model should get good at - a file of JSONL, a conversation or a prompt and completion a line.
        model: The base model - a folder with safetensors and tokenizer, or a hub name such as HuggingFaceTB/SmolLM2-135M-Instruct.
        share: How much of the pool to select. 0.05 is the best 5 percent.
        size: small - LoRA of rank 8, 512 tokens, 2 epochs; minutes on a laptop. paper - rank 128, 2048 tokens, 4 epochs; for a GPU.
        on_bad_row: error - a row of the pool that holds no example ends the run and is named. skip - it is left out and counted.
        results: Folder of the results. The selected examples are then in its folder NAME/selected/target.jsonl. Here and above, a
            relative path starts in the folder that `less-flow serve` was started in.
    """
    chosen: dict[str, Any] = {
        "name": name,
        "pools": [{"name": "pool", "path": pool, "on_bad_row": on_bad_row}],
        "targets": [{"name": "target", "path": target}],
        "selection": {"by": "fraction", "amount": share},
        "runs": results,
    }
    size_settings = SMALL if size == "small" else {}
    settings = size_settings | chosen | {"model": {"path": model} | size_settings.get("model", {})}
    try:
        return run_selection(parse_settings(settings, where=name))
    except LessError as error:
        error.args = (in_this_form(str(error)),)
        raise


def in_this_form(message: str) -> str:
    """Return an error's message in terms of what this form asks for."""
    for setting, field in FIELDS.items():
        message = message.replace(setting, field)
    return f"{message} {FEWER}" if _SETTING.search(message) else message
