"""What every test may ask for: a tiny model made on the spot, small pools and targets, a configuration of all of them."""

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from less_core.config import SelectSettings, parse_settings

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
WORDS = "red blue green dog cat bird runs jumps sleeps one two three plus minus equals apple pear plum is not the a of".split()


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of some 400 tokens, with a ChatML template."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    inner.train_from_iterator([" ".join(WORDS), "user assistant system\n"], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|im_end|>", bos_token="<|im_start|>")
    fast.chat_template = CHATML
    return fast


def llama(kv_heads: int = 4, vocab: int = 400) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=512,
    )
    return LlamaForCausalLM(config).eval()


def gpt2(vocab: int = 400) -> PreTrainedModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocab, n_positions=512, n_embd=32, n_layer=2, n_head=4)).eval()


@pytest.fixture(scope="session")
def base_models() -> dict[str, Callable[[], PreTrainedModel]]:
    """Makers of tiny base models: Llama, Llama with grouped queries, GPT-2 with its Conv1D layers."""
    return {"llama": lambda: llama(4), "grouped-query": lambda: llama(2), "gpt2": gpt2}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder with a tiny Llama of grouped queries and its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    llama(2).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def conversation(seed: int) -> dict[str, Any]:
    """A small conversation of known words, different for each seed."""
    rng = random.Random(seed)
    question = " ".join(rng.choices(WORDS, k=rng.randrange(2, 10)))
    answer = " ".join(rng.choices(WORDS, k=rng.randrange(1, 12)))
    return {"messages": [{"role": "user", "content": f"{seed} {question}"}, {"role": "assistant", "content": answer}]}


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def make_settings(tmp_path: Path, tiny_model: Path) -> Callable[..., SelectSettings]:
    """Settings over two pools of 30 and 20 examples and a target of two subtasks; keyword arguments replace whole sections."""
    write_jsonl(tmp_path / "a.jsonl", [conversation(i) for i in range(30)])
    write_jsonl(tmp_path / "b.jsonl", [conversation(i) for i in range(100, 120)])
    write_jsonl(tmp_path / "t.jsonl", [conversation(i) | {"subtask": "even" if i % 2 == 0 else "odd"} for i in range(1000, 1005)])

    def make(**sections: Any) -> SelectSettings:
        data: dict[str, Any] = {
            "name": "test",
            "model": {"path": str(tiny_model), "lora": {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj", "o_proj"]}},
            "data_dir": str(tmp_path),
            "store": str(tmp_path / "store"),
            "runs": str(tmp_path / "runs"),
            "pools": [{"name": "a", "path": "a.jsonl"}, {"name": "b", "path": "b.jsonl"}],
            "targets": [{"name": "t", "path": "t.jsonl"}],
            "warmup": {"fraction": 0.3, "epochs": 2, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 1e-3},
            "features": {"projection": {"dim": 256}, "max_length": 128},
            "selection": {"by": "count", "amount": 5},
            "execution": {"shard_size": 16, "batch_tokens": 256, "device": "cpu"},
        }
        return parse_settings(data | sections, where="test")

    return make
