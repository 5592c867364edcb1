"""The share of right answers to rows of a built-in target: choices by their likelihood, all else by what the model writes."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from less_core.data.builtin.answers import right_answer
from less_core.model.batching import fill_batches
from less_core.model.loading import known_positions

Tell = Callable[[int], None]  # the number of rows done since the last call; what it raises ends the evaluation


def accuracy(
    model: Any, tokenizer: Any, builtin: str, rows: Sequence[Mapping[str, Any]], *, answer_tokens: int, batch_tokens: int, on_batch: Tell
) -> float:
    """Return the share of rows answered right.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its fast tokenizer.
        builtin: mmlu, bbh, tydiqa or gsm8k.
        rows: Rows of that target with `prompt` and what its answer is.
        answer_tokens: The longest answer; mmlu needs none.
        batch_tokens: Padded tokens a batch, the answer included.
        on_batch: Told of progress.
    """
    room = 0 if builtin == "mmlu" else answer_tokens
    whole = tokenizer([row["prompt"] for row in rows], return_attention_mask=False)["input_ids"]
    longest = max(1, min(known_positions(model).values(), default=sys.maxsize) - room)
    prompts = [ids[-longest:] for ids in whole]  # the question stands at the end
    right = 0
    for batch in fill_batches([len(ids) + room for ids in prompts], batch_tokens):
        chosen = [rows[i] for i in batch]
        ids, mask = pad_left([prompts[i] for i in batch], tokenizer.pad_token_id or 0)
        ids, mask = ids.to(model.device), mask.to(model.device)
        with torch.inference_mode():
            if builtin == "mmlu":
                right += _right_choices(model, tokenizer, chosen, ids, mask)
            else:
                right += _right_outputs(model, tokenizer, builtin, chosen, ids, mask, answer_tokens)
        on_batch(len(batch))
    return right / len(rows)


def pad_left(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Return token ids and attention mask, int64 [batch, longest], so that all prompts end together."""
    longest = max(len(ids) for ids in prompts)
    ids = torch.tensor([[pad] * (longest - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask


def _right_choices(model: Any, tokenizer: Any, rows: Sequence[Mapping[str, Any]], ids: Tensor, mask: Tensor) -> int:
    """Count rows whose right letter is the likeliest of the choices' as the next token."""
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1).logits[:, -1].float()
    right = 0
    for row, values in zip(rows, logits, strict=True):
        letters = [chr(ord("A") + i) for i in range(len(row["choices"]))]
        tokens = [tokenizer(" " + letter, add_special_tokens=False)["input_ids"][-1] for letter in letters]
        right += letters[int(values[tokens].argmax())] == row["answer"]
    return right


def _right_outputs(
    model: Any, tokenizer: Any, builtin: str, rows: Sequence[Mapping[str, Any]], ids: Tensor, mask: Tensor, answer_tokens: int
) -> int:
    written = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=answer_tokens,
        do_sample=False,
        use_cache=True,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
    )
    outputs = tokenizer.batch_decode(written[:, ids.shape[1] :], skip_special_tokens=True)
    return sum(right_answer(builtin, row, output) for row, output in zip(rows, outputs, strict=True))
