"""What every test may ask for: a tiny model made on the spot, small pools and targets, a configuration of all of them."""

import os
from pathlib import Path

# Before torch is imported, here and in processes that tests start: shards are compared byte for byte, and sums depend on the threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Triton reads this when it is first imported, by torch too: without a GPU its kernels are run in its interpreter.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from heartbeats import without_heartbeats
from prefect.settings import PREFECT_API_URL
from prefect.states import State
from prefect.testing.utilities import prefect_test_harness
from samples import WORDS, conversation, write_jsonl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast
from xdist.scheduler import LoadScopeScheduling

from less_core.changes.records import ChangeSummary
from less_core.features.requirements import needs_warmup, sides_of
from less_core.files.whole import write_json
from less_core.refs import (
    CheckpointsRef,
    ExactRef,
    ExamplesRef,
    FeatureShardRef,
    FeaturesRef,
    InfluenceRef,
    ModelRef,
    PreparedRef,
    SelectionRef,
)
from less_core.settings.file import parse_settings
from less_core.settings.select import RewarmSettings, SelectSettings
from less_core.storage.formats.scores import iterate_scores
from less_core.storage.layout import Version
from tasks.baselines import score_by_loss, score_by_text
from tasks.changes import compare_with_last
from tasks.check import look_at_inputs, open_version
from tasks.encode import encode_shard
from tasks.exact import draw_shortlist, plan_targets_exactly, score_exactly
from tasks.features import extract_features, note_features, plan_features
from tasks.imported import import_gradients
from tasks.influence import score_examples
from tasks.prepare import plan_pool, plan_targets, read_pool
from tasks.publish import publish_version
from tasks.selection import select_examples
from tasks.warmup import choose_warmup, draw_adapter, import_checkpoints, keep_checkpoints, warm_up, without_warmup

pytest_plugins = ["counts"]

ALWAYS = RewarmSettings(when="always")
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


@dataclass(frozen=True)
class Result:
    """What a run without Prefect left."""

    settings: SelectSettings
    version: Version
    model: ModelRef
    checkpoints: CheckpointsRef
    pool_shards: list[FeatureShardRef]
    influence: InfluenceRef
    selections: list[SelectionRef]
    changes: ChangeSummary | None

    def scores(self, target: str = "t") -> dict[str, float]:
        tables = iterate_scores(self.version.scores(target))
        return {row["example_id"]: row["score"] for table in tables for row in table.to_pylist()}

    def selected(self, target: str = "t") -> list[bytes]:
        return Path(self.version.selected(target)).read_bytes().splitlines()


@pytest.fixture
def run_stages() -> Callable[..., Result]:
    """The stages of `select_data` one after the other, as plain functions: what a run computes, without a server."""

    def value(returned: Any) -> Any:
        return returned.data if isinstance(returned, State) else returned

    def run(settings: SelectSettings, rewarm: RewarmSettings = ALWAYS) -> Result:
        inputs, version = look_at_inputs.fn(settings), open_version.fn(settings)
        model = inputs.model
        target = plan_targets.fn(settings, version, model)
        pools = [read_pool.fn(settings, version, p) for p in settings.pools]
        pool = plan_pool.fn(settings, version, model, pools)
        for side in (target, pool):
            for number in range(1, side.shards + 1):
                encode_shard.fn(settings, model, side, number)
        checkpoints = without_warmup(settings, model)
        if needs_warmup(settings):
            kept, why = choose_warmup.fn(settings, version, model, pool, rewarm)
            if settings.imported.pool:
                warm = import_gradients.fn(settings, inputs, PreparedRef(pools=pools, pool=pool, target=target))
            elif settings.warmup.checkpoints:
                warm = import_checkpoints.fn(settings, version, model, pool)
            elif settings.warmup.kind != "train":
                warm = draw_adapter.fn(settings, version, model, pool)
            else:
                warm = keep_checkpoints.fn(settings, kept, why) if kept else warm_up.fn(settings, version, model, pool, why)
            checkpoints = value(warm)
        notes, shards, exact = {}, {}, None

        def extract(side: ExamplesRef, parts: ExactRef | None) -> tuple[FeaturesRef, list[FeatureShardRef]]:
            work = plan_features.fn(settings, model, side, checkpoints, parts)
            made = [value(extract_features.fn(settings, model, side, w, parts)) for w in work]
            return note_features.fn(version, side, checkpoints, made), made

        for name in sides_of(settings):
            side = pool if name == "pool" else target
            if name == "pool" and settings.scoring != "store":
                exact = plan_targets_exactly.fn(settings, version, model, target, notes["target"])
            notes[name], shards[name] = extract(side, exact if settings.scoring == "exact" else None)
        if exact and settings.scoring == "rerank":
            path = draw_shortlist.fn(settings, version, pool, target, checkpoints, notes["pool"], notes["target"])
            exact = exact.model_copy(update={"shortlist": path})
            notes["exact"], shards["exact"] = extract(pool, exact)
        if exact:
            influence = score_exactly.fn(settings, version, model, pool, target, checkpoints, exact, notes["target"])
        elif "target" in notes:
            influence = score_examples.fn(settings, version, model, pool, target, checkpoints, notes["pool"], notes["target"])
        elif "pool" in notes:
            influence = score_by_loss.fn(settings, version, model, pool, target, checkpoints, notes["pool"])
        else:
            influence = score_by_text.fn(settings, version, model, pool, target, settings.method)
        selections = select_examples.fn(settings, version, pool, influence)
        changes = compare_with_last.fn(settings, version, inputs, checkpoints, list(notes.values()), selections, [])
        write_json(version.record, {"version": version.name})  # a report takes longer to draw than all else here
        publish_version.fn(settings, version, inputs, checkpoints, selections, [], "")
        return Result(settings, version, model, checkpoints, shards.get("pool", []), influence, selections, changes)

    return run
