"""The share of right answers, against one row at a time and a token at a time: padding must not matter."""

import random
from collections.abc import Callable, Mapping
from string import ascii_uppercase
from typing import Any

import pytest
import torch
from samples import WORDS
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from less_core.evaluation import accuracy as module
from less_core.evaluation.accuracy import accuracy, pad_left
from less_core.model.adapter import randomise_adapter
from less_core.model.loading import add_lora
from less_core.settings.select import LoraSettings

Models = dict[str, Callable[[], PreTrainedModel]]
Row = dict[str, Any]
ANSWER_TOKENS = 6
BUDGETS = [1, 60, 100_000]  # tokens a batch: a row each, a few, all


def rows_of_choices(count: int = 24) -> list[Row]:
    """Questions of one to twenty words with two to five choices; their answers take turns."""
    rng = random.Random(0)
    rows = []
    for number in range(count):
        choices = ["x"] * (2 + number % 4)
        prompt = " ".join(rng.choices(WORDS, k=rng.randrange(1, 21)))
        rows.append({"prompt": f"{prompt}\nThe answer is:", "choices": choices, "answer": ascii_uppercase[number % len(choices)]})
    return rows


@pytest.fixture(params=["llama", "grouped-query", "gpt2", "adapter"])
def model(request: pytest.FixtureRequest, base_models: Models) -> nn.Module:
    """A tiny model of large weights, so that what it likes depends on what it read and on where that stands."""
    adapter = request.param == "adapter"
    model = base_models["llama" if adapter else request.param]()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(8)
    if not adapter:
        return model
    adapted = add_lora(model, LoraSettings(rank=4, alpha=64, target_modules=["q_proj", "v_proj"]))
    randomise_adapter(adapted, seed=3)
    return adapted.eval()


def measure(model: Any, tokenizer: Any, builtin: str, rows: list[Row], batch_tokens: int = 10**6, told: list[int] | None = None) -> float:
    on_batch = (lambda count: None) if told is None else told.append
    return accuracy(model, tokenizer, builtin, rows, answer_tokens=ANSWER_TOKENS, batch_tokens=batch_tokens, on_batch=on_batch)


# Choices


@torch.no_grad()
def likeliest(model: nn.Module, tokenizer: PreTrainedTokenizerFast, row: Row) -> str:
    """The letter that the model finds likeliest next: one row, no padding, the whole forward pass."""
    logits = model(torch.tensor([tokenizer(row["prompt"]).input_ids])).logits[0, -1]
    scores = {letter: float(logits[tokenizer(f" {letter}").input_ids[-1]]) for letter in ascii_uppercase[: len(row["choices"])]}
    return max(scores, key=lambda letter: scores[letter])


@pytest.mark.parametrize("batch_tokens", BUDGETS)
def test_choice_is_the_likeliest_letter_of_a_row_alone_whatever_stands_beside_it(
    model: nn.Module, tokenizer: PreTrainedTokenizerFast, batch_tokens: int
) -> None:
    rows = rows_of_choices()
    chosen = [likeliest(model, tokenizer, row) for row in rows]
    assert len(set(chosen)) > 2  # or one letter for all would do
    right = [row | {"answer": letter} for row, letter in zip(rows, chosen, strict=True)]
    wrong = [row | {"answer": ascii_uppercase[(ascii_uppercase.index(row["answer"]) + 1) % len(row["choices"])]} for row in right]
    assert measure(model, tokenizer, "mmlu", right, batch_tokens) == 1
    assert measure(model, tokenizer, "mmlu", wrong, batch_tokens) == 0
    assert measure(model, tokenizer, "mmlu", [*right[:9], *wrong[9:]], batch_tokens) == 9 / 24


@pytest.mark.parametrize("letter", ["A", "B", "E"])
def test_model_that_prefers_one_letter_is_right_on_its_rows_and_picks_no_choice_that_is_not_there(
    base_models: Models, tokenizer: PreTrainedTokenizerFast, letter: str
) -> None:
    model = base_models["llama"]()
    token = tokenizer(f" {letter}").input_ids[-1]

    def prefer(head: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> Tensor:
        preferred = torch.zeros(logits.shape[-1])
        preferred[token] = 1000
        return logits + preferred

    rows = [row for row in rows_of_choices() if ascii_uppercase.index(letter) < len(row["choices"])]
    others = [row for row in rows_of_choices() if row not in rows]
    before = measure(model, tokenizer, "mmlu", others) if others else 0
    with_letter = sum(row["answer"] == letter for row in rows)
    assert 0 < with_letter < len(rows)
    model.get_output_embeddings().register_forward_hook(prefer)
    assert measure(model, tokenizer, "mmlu", rows) == with_letter / len(rows)
    assert not others or measure(model, tokenizer, "mmlu", others) == before


def test_choices_are_told_of_batch_by_batch_and_end_by_what_is_raised(base_models: Models, tokenizer: PreTrainedTokenizerFast) -> None:
    model, told = base_models["llama"](), []
    measure(model, tokenizer, "mmlu", rows_of_choices(), 200, told)
    assert sum(told) == 24
    assert len(told) > 1

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        accuracy(model, tokenizer, "mmlu", rows_of_choices(), answer_tokens=1, batch_tokens=200, on_batch=stop)


def test_prompts_are_padded_on_the_left_and_the_padding_is_masked() -> None:
    ids, mask = pad_left([[5, 6, 7], [8]], 9)
    assert ids.tolist() == [[5, 6, 7], [9, 9, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


# Written answers


@torch.no_grad()
def written(model: nn.Module, tokenizer: PreTrainedTokenizerFast, prompt: str) -> str:
    """What the model writes: the likeliest token, again and again, until it ends."""
    ids = tokenizer(prompt).input_ids
    start = len(ids)
    while len(ids) < start + ANSWER_TOKENS:
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == model.generation_config.eos_token_id:
            break
    return tokenizer.decode(ids[start:], skip_special_tokens=True)


@pytest.mark.parametrize("batch_tokens", BUDGETS)
def test_answer_is_what_the_model_writes_alone_whatever_stands_beside_it(
    model: nn.Module, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch, batch_tokens: int
) -> None:
    rows, told = rows_of_choices(8), []
    outputs: dict[str, str] = {}

    def judge(builtin: str, row: Mapping[str, Any], output: str) -> bool:
        outputs[row["prompt"]] = output
        return builtin == "gsm8k"

    monkeypatch.setattr(module, "right_answer", judge)
    assert measure(model, tokenizer, "gsm8k", rows, batch_tokens, told) == 1
    assert outputs == {row["prompt"]: written(model, tokenizer, row["prompt"]) for row in rows}
    assert len(set(outputs.values())) > 2
    assert sum(told) == len(rows)


class Scripted:
    """Stands for a model: writes after each prompt what a script says, and keeps what it was asked for."""

    device = torch.device("cpu")
    config = PretrainedConfig()  # says nothing of positions

    def __init__(self, tokenizer: PreTrainedTokenizerFast, script: dict[str, str]) -> None:
        self._tokenizer = tokenizer
        self._script = script
        self.asked: list[dict[str, Any]] = []

    def generate(self, input_ids: Tensor, attention_mask: Tensor, **options: Any) -> Tensor:
        self.asked.append(options)
        prompts = [self._tokenizer.decode(ids[mask.bool()]) for ids, mask in zip(input_ids, attention_mask, strict=True)]
        answers = [self._tokenizer(self._script[prompt]).input_ids for prompt in prompts]
        longest = max(map(len, answers))
        ends = [answer + [self._tokenizer.pad_token_id] * (longest - len(answer)) for answer in answers]
        return torch.cat([input_ids, torch.tensor(ends)], dim=1)


WRITTEN: dict[str, list[tuple[Row, str, bool]]] = {
    "gsm8k": [
        ({"prompt": "Question: two and two?\nAnswer:", "answer": "4"}, " 2 + 2 = 4\nThe answer is 4.", True),
        ({"prompt": "Question: a long question of many words, three and four?\nAnswer:", "answer": "7"}, " It is 8.", False),
        ({"prompt": "?", "answer": "1000"}, " $1,000", True),
        ({"prompt": "Question: nothing?", "answer": "0"}, "", False),
    ],
    "bbh": [
        ({"prompt": "Q: which?\nA:", "answer": "(B)"}, " Let us think. So the answer is (B).", True),
        ({"prompt": "Q: which of the two, the first or the second?\nA:", "answer": "No"}, " Yes", False),
    ],
    "tydiqa": [
        ({"prompt": "Passage: the red dog\nQuestion: who?\nAnswer:", "answers": ["the dog", "red dog"]}, " Red dog.\nMore.", True),
        ({"prompt": "Passage: x\nAnswer:", "answers": ["cat"]}, " cat sleeps", False),
        ({"prompt": "Answer:", "answers": ["Größe", "你好"]}, " 你好", True),
    ],
}


@pytest.mark.parametrize("batch_tokens", [1, 10**6])
@pytest.mark.parametrize("builtin", list(WRITTEN))
def test_written_answers_are_judged_by_the_rule_of_their_target_without_prompt_and_padding(
    tokenizer: PreTrainedTokenizerFast, builtin: str, batch_tokens: int
) -> None:
    rows = [row for row, _, _ in WRITTEN[builtin]]
    model = Scripted(tokenizer, {row["prompt"]: answer for row, answer, _ in WRITTEN[builtin]})
    right = sum(right for _, _, right in WRITTEN[builtin])
    assert measure(model, tokenizer, builtin, rows, batch_tokens) == right / len(rows)
    assert len(model.asked) == (len(rows) if batch_tokens == 1 else 1)
    assert all((options["do_sample"], options["max_new_tokens"]) == (False, ANSWER_TOKENS) for options in model.asked)
