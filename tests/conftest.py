"""What every test may ask for: a tiny model made on the spot, small pools and targets, a configuration of all of them."""

import os
from pathlib import Path

# Before torch is imported, here and in processes that tests start: shards are compared byte for byte, and sums depend on the threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Triton reads this when it is first imported, by torch too: without a GPU its kernels are run in its interpreter.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from heartbeats import without_heartbeats
from plain import Result, run_plainly
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness
from samples import WORDS, conversation, write_jsonl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast
from xdist.scheduler import LoadScopeScheduling

from less_core.settings.file import parse_settings
from less_core.settings.select import SelectSettings

pytest_plugins = ["counts"]

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


SHARING = ("served", "faults")  # folders whose tests share what takes long to make: a service, a run in peace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: item.path.parent.name not in SHARING)


class Together(LoadScopeScheduling):
    """Keeps a file's tests on one worker, which share a server, and all tests of the folders above."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return folder if folder.endswith(SHARING) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together | None:
    """Take part where xdist is told to go by scopes."""
    return Together(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """The address of a server's API, once a session, for flows and for processes that the tests start."""
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    with prefect_test_harness(server_startup_timeout=120), without_heartbeats():
        yield str(PREFECT_API_URL.value())


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
        # Most tests are of features, which small dimensions need in whole numbers; those of exact influence or of bits say so.
        kept = {"influence": {"scoring": "store"}, "features": {"storage": "float16"}}
        merged = {name: section | (data | sections).get(name, {}) for name, section in kept.items()}
        return parse_settings(data | sections | merged, where="test")

    return make


@pytest.fixture
def run_stages() -> Callable[..., Result]:
    """All that `select_data` computes, by the flow's own functions, without Prefect's engine: see `plain.py`."""
    return run_plainly
