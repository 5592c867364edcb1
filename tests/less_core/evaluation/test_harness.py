"""Tasks of lm-eval, on a tiny model and tasks of our own: no network."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
import torch
from peft import LoraConfig, get_peft_model
from samples import WORDS, write_jsonl
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from less_core.errors import ConfigError
from less_core.evaluation.harness import run_tasks

Models = dict[str, Callable[[], PreTrainedModel]]
ROWS = [f"the {word} is" for word in WORDS]
COLOURS = ["red", "blue", "green"]


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of two tasks over the same rows: `colours`, of multiple choice, and `echo`, to be generated and filtered."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"text": text, "choices": COLOURS, "right": n % 3} for n, text in enumerate(ROWS)])
    data = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "doc_to_text": "{{text}}",
    }
    choice = {"task": "colours", "output_type": "multiple_choice", "doc_to_choice": "{{choices}}", "doc_to_target": "right"}
    echo = {"task": "echo", "output_type": "generate_until", "doc_to_target": "{{text}}", "generation_kwargs": {"max_gen_toks": 2}}
    picked = [{"name": "picked", "filter": [{"function": "take_first"}]}]
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    # JSON is YAML.
    (tasks / "colours.yaml").write_text(json.dumps(data | choice | {"metric_list": [{"metric": "acc"}]}))
    (tasks / "echo.yaml").write_text(json.dumps(data | echo | {"filter_list": picked, "metric_list": [{"metric": "exact_match"}]}))
    return str(tasks)


def likeliest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    """The place of the colour that the model finds most likely after the text, one at a time."""
    likelihoods = []
    for colour in COLOURS:
        before = tokenizer(text, add_special_tokens=False).input_ids
        ids = torch.tensor([tokenizer(f"{text} {colour}", add_special_tokens=False).input_ids])
        logits = model(ids).logits[0, len(before) - 1 : -1].log_softmax(-1)
        likelihoods.append(float(logits.gather(1, ids[0, len(before) :, None]).sum()))
    return likelihoods.index(max(likelihoods))


@torch.no_grad()
def accuracy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, rows: int) -> float:
    chosen = [likeliest(model, tokenizer, text) for text in ROWS[:rows]]
    assert len(set(chosen)) > 1  # or any order of the rows would do
    return sum(choice == number % 3 for number, choice in enumerate(chosen)) / rows


@pytest.fixture
def model(base_models: Models) -> PreTrainedModel:
    """A tiny model of large weights, so that what it likes depends on what it read."""
    model = base_models["llama"]()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(8)
    return model


def test_run_tasks_without_lm_eval_says_how_to_get_it(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(ConfigError, match=r"evaluation: expected lm-eval .*Run pip install 'less-flow\[eval\]'"):
        run_tasks(model, tokenizer, ["colours"], "", 0, 2)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 10])
def test_run_tasks_measures_what_a_loop_over_the_choices_does(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tasks: str, limit: int
) -> None:
    pytest.importorskip("lm_eval")
    expected = accuracy(model, tokenizer, limit or len(ROWS))
    assert run_tasks(model, tokenizer, ["colours"], tasks, limit, 2) == {"colours/acc": pytest.approx(expected)}


@pytest.mark.slow
def test_run_tasks_takes_an_adapter_and_names_metrics_by_task_and_filter(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tasks: str
) -> None:
    pytest.importorskip("lm_eval")
    plain = accuracy(model, tokenizer, len(ROWS))
    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=1000, target_modules=["v_proj"], init_lora_weights=False)).eval()
    expected = accuracy(adapted, tokenizer, len(ROWS))
    assert expected != plain
    assert run_tasks(adapted, tokenizer, ["colours", "echo"], tasks, 0, 3) == {
        "colours/acc": pytest.approx(expected),
        "echo/exact_match,picked": 0.0,
    }


@pytest.mark.slow
def test_run_tasks_names_the_tasks_that_lm_eval_does_not_know(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tasks: str
) -> None:
    pytest.importorskip("lm_eval")
    with pytest.raises(ConfigError, match=r"evaluation: expected names of tasks of lm-eval or of .*tasks, got \['colors'\]"):
        run_tasks(model, tokenizer, ["colours", "colors"], tasks, 0, 2)
