"""Every setting of a run. The same models are the YAML file, the form in the Prefect UI and the flow's parameter.

Flat on purpose: no unions, tuples or dictionaries, because the UI's form renders plain fields, lists and choices well
and nothing else. An empty string or a zero stands for "not set".
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

_SECRET = re.compile(r"://[^/@]*@")


def _without_secret(address: str) -> str:
    """Settings are kept with results, in the server's database and in logs: what is secret must not be among them."""
    if _SECRET.search(address):
        raise ValueError(
            f"expected an address without a user or password, which would be kept with every result, got {hide_secret(address)}; "
            "give them by the environment or a Prefect block"
        )
    return address


def hide_secret(text: str) -> str:
    """Return a text without the users and passwords of addresses in it."""
    return _SECRET.sub("://***@", text)


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Address = Annotated[str, AfterValidator(_without_secret)]  # a path or a URL


class Settings(BaseModel):
    """Base of all settings: frozen; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _a_table_can_hold(cls, value: Any) -> Any:
        if any(isinstance(n, int) and abs(n) >= 2**63 for n in (value if isinstance(value, list) else [value])):
            raise ValueError("expected a number below 2**63")
        return value


class LoraSettings(Settings):
    """The adapter that the warmup trains and whose gradients are the features."""

    rank: int = Field(128, ge=1, le=4096, title="Rank")
    alpha: float = Field(512, gt=0, title="Alpha", description="The adapter's output is scaled by alpha / rank.")
    dropout: float = Field(0.1, ge=0, lt=1, title="Dropout", description="In the warmup only; features have none.")
    target_modules: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        min_length=1,
        title="Modules",
        description="Linear layers that get an adapter, by the end of their name. GPT-2: c_attn, c_proj.",
    )


class ModelSettings(Settings):
    """The model that data is selected for."""

    path: Address = Field(
        min_length=1,
        title="Base model",
        description="A folder with safetensors, config and tokenizer, or a hub name such as HuggingFaceTB/SmolLM2-135M-Instruct.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", title="Precision", description="auto: bfloat16 on a GPU, float32 on a CPU. LoRA weights are trained in float32."
    )
    template: Literal["auto", "chat", "tulu"] = Field(
        "auto",
        title="Chat template",
        description="auto: the tokenizer's own where it has one, else tulu. tulu: the rendering of the LESS scripts.",
    )
    lora: LoraSettings = Field(LoraSettings(), title="LoRA")


Shape = Literal["auto", "messages", "prompt_completion", "alpaca", "sharegpt"]


class PoolSettings(Settings):
    """A named source of training examples: files, or a data set on the hub."""

    name: Name = Field(title="Name")
    path: Address = Field(
        "",
        title="Files",
        description="A file of JSONL, JSON or Parquet, a folder of them, or a pattern such as mix/*.jsonl; relative to the data folder.",
    )
    hub: str = Field("", title="Hub data set", description="Instead of files. For example allenai/tulu-3-sft-mixture.")
    split: str = Field("train", title="Split", description="Split of the hub data set.")
    format: Shape = Field("auto", title="Shape of a row", description="auto looks at each row's keys.")
    sample: int = Field(0, ge=0, title="Sample", description="Draw this many examples at random, by their content. 0: all.")
    on_bad_row: Literal["error", "skip"] = Field(
        "error", title="On a bad row", description="error: stop and name file and line. skip: leave it out, count it in the report."
    )
    quota: float = Field(1, gt=0, le=1, title="Quota", description="At most this share of the budget goes to this pool.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.path) == bool(self.hub):
            raise ValueError("expected exactly one of `path` and `hub`")
        return self


class TargetSettings(Settings):
    """What the model should get good at, given as a few examples."""

    name: Name = Field(title="Name")
    path: Address = Field(
        "",
        title="File",
        description="JSONL of `messages`, or of `prompt` and `completion` (used as they are); `subtask` is optional.",
    )
    builtin: Literal["", "mmlu", "bbh", "tydiqa", "gsm8k"] = Field(
        "", title="Built-in target", description="Instead of a file: rendered to the strings of the LESS scripts."
    )
    data_dir: Address = Field(
        "", title="Folder of the built-in target", description="With mmlu/, bbh/, tydiqa/ or gsm8k.jsonl; relative to the data folder."
    )
    hub: str = Field("", title="Hub data set", description="For a built-in target, instead of a folder. For example cais/mmlu.")
    skip: int = Field(0, ge=0, title="Skip", description="Leave out this many examples of each subtask, from its first on.")
    take: int = Field(0, ge=0, title="Take", description="Then take this many of each subtask. 0: all.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.path) == bool(self.builtin):
            raise ValueError("expected exactly one of `path` and `builtin`")
        if bool(self.builtin) != (bool(self.data_dir) != bool(self.hub)) or (self.path and (self.data_dir or self.hub)):
            raise ValueError("expected exactly one of `data_dir` and `hub` with `builtin`, and neither with `path`")
        return self

    @model_validator(mode="after")
    def _not_reserved(self) -> Self:
        if self.name == "merged":
            raise ValueError("expected another name than 'merged', which is the selection over all targets")
        return self


class WarmupSettings(Settings):
    """The short LoRA training whose checkpoints the gradients are taken at."""

    kind: Literal["train", "base", "random"] = Field(
        "train",
        title="Kind",
        description="train: as in the paper. base: no training, gradients of a fresh adapter. random: no training, of a random adapter.",
    )
    fraction: float = Field(0.05, gt=0, le=1, title="Share of the pool", description="Trained on, drawn at random by content.")
    epochs: int = Field(4, ge=1, le=100, title="Epochs", description="One checkpoint each.")
    learning_rate: float = Field(2e-5, gt=0, title="Peak learning rate", description="Linear schedule, 3% warm-up steps.")
    batch_size: int = Field(128, ge=1, title="Batch size", description="Examples an optimizer step.")
    micro_batch_size: int = Field(1, ge=1, title="Micro-batch size", description="Examples a forward pass; the rest is accumulated.")
    seed: int = Field(0, ge=0, lt=2**31, title="Seed")
    checkpoints: list[Address] = Field(
        [],
        title="Existing checkpoints",
        description="Folders, oldest first, to use instead of training: ours, the Hugging Face Trainer's or the LESS scripts'.",
    )


# Bits of many dimensions rank better than numbers of few, byte for byte (docs/PERFORMANCE.md); a sketch makes as many as one likes.
SKETCH: Literal["sketch"] = "sketch"
SIGN: Literal["sign"] = "sign"
DENSE_DIM = 8192


class ProjectionSettings(Settings):
    """How a gradient of millions of coordinates becomes a feature of a few thousand."""

    kind: Literal["sketch", "rademacher", "fast-jl"] = Field(
        SKETCH,
        title="Kind",
        description="sketch: signed count-sketch, fast. rademacher: dense, the paper. fast-jl: dense, by the LESS scripts' CUDA library.",
    )
    dim: int = Field(
        65536,
        ge=64,
        le=2**20,
        multiple_of=64,
        title="Dimension",
        description="They cost a sketch bytes and no time. If not set: 65536 for a sketch, 8192, as in the paper, for the others.",
    )
    seed: int = Field(0, ge=0, lt=2**31, title="Seed")
    seed_per_checkpoint: bool = Field(
        True,
        title="A seed for each checkpoint",
        description="Lets the projection noise of the checkpoints average out. Off: as in the LESS scripts.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fewer_where_each_costs_time(cls, data: Any) -> Any:
        if isinstance(data, dict) and "dim" not in data and data.get("kind", SKETCH) != SKETCH:
            return data | {"dim": DENSE_DIM}
        return data

    @model_validator(mode="after")
    def _dim_suits_kind(self) -> Self:
        if self.kind == "fast-jl" and self.dim % 512:
            raise ValueError(f"expected a `dim` that is a multiple of 512 for fast-jl, got {self.dim}")
        return self


class FeatureSettings(Settings):
    """What is computed of each example at each checkpoint."""

    gradient: Literal["adam", "sgd", "sign"] = Field(
        "adam", title="Gradient of pool examples", description="adam: the update Adam would make."
    )
    fidelity: Literal["less-code", "paper"] = Field(
        "less-code", title="Fidelity", description="less-code: what the released scripts compute. paper: the paper's equations."
    )
    projection: ProjectionSettings = Field(ProjectionSettings(), title="Projection")
    max_length: int = Field(2048, ge=8, title="Longest example", description="In tokens; the rest is cut off and counted.")
    storage: Literal["float16", "float32", "int8", "sign"] = Field(
        SIGN,
        title="Stored as",
        description="Of pool examples. sign: one bit a dimension. int8: one byte. If not set: sign for a sketch, float16 for the others.",
    )

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers_where_there_are_few(cls, data: Any) -> Any:
        if isinstance(data, dict) and "storage" not in data:
            projection = data.get("projection", {})
            kind = projection.get("kind", SKETCH) if isinstance(projection, dict) else getattr(projection, "kind", SKETCH)
            return data if kind == SKETCH else data | {"storage": "float16"}
        return data

    @property
    def rounded(self) -> bool:
        """Whether features are kept as whole numbers or signs in units of a scale of their row."""
        return self.storage in ("int8", "sign")


class ImportedSettings(Settings):
    """Projected gradients that the LESS scripts wrote, read instead of computed."""

    pool: Address = Field(
        "",
        title="Of the pools",
        description="Folder or file with {name} for the pool's name and {checkpoint}: grads/{name}-ckpt{checkpoint}-adam/dim8192.",
    )
    target: Address = Field(
        "", title="Of the targets", description="The same with the target's name: grads/{name}-ckpt{checkpoint}-sgd/dim8192."
    )
    checkpoints: list[int] = Field([], title="Checkpoints", description="Their numbers, oldest first.")
    learning_rates: list[float] = Field([], title="Learning rates", description="The mean of each checkpoint's epoch: their weights.")

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        given = [bool(self.pool), bool(self.target), bool(self.checkpoints), bool(self.learning_rates)]
        if any(given) and not all(given):
            raise ValueError("expected `pool`, `target`, `checkpoints` and `learning_rates` together, or none of them")
        if len(self.checkpoints) != len(self.learning_rates):
            raise ValueError(f"expected a learning rate for each of {len(self.checkpoints)} checkpoints, got {len(self.learning_rates)}")
        if len(set(self.checkpoints)) != len(self.checkpoints):
            raise ValueError("expected checkpoints that differ")
        return self


Scoring = Literal["store", "exact", "rerank"]


class InfluenceSettings(Settings):
    """How scores are made from features."""

    scoring: Scoring = Field(
        "exact",
        title="Scoring",
        description="exact: inner products of whole gradients, without projection noise, taken in the pass that makes the features. store: "
        "from the features alone, which costs a new target no pass. rerank: from the features, then exact for a shortlist.",
    )
    keep_features: bool = Field(
        True, title="Keep features, too", description="With exact: also write feature shards, for targets that come later."
    )
    shortlist: float = Field(
        0.2, gt=0, le=1, title="Shortlist", description="With rerank: this share of the pool, the best for each target, is scored exactly."
    )
    target_memory: float = Field(
        16,
        gt=0,
        title="Memory for target gradients",
        description="In GB. Those of all subtasks are kept as float32, or as bfloat16 where that does not fit, or in groups, a pass each.",
    )
    checkpoints: list[int] = Field([], title="Checkpoints", description="Which of the warmup's, counted from 1. None: all.")
    weights: Literal["learning_rate", "uniform"] = Field(
        "learning_rate", title="Weights of checkpoints", description="learning_rate: the mean of a checkpoint's epoch, as in the paper."
    )
    similarity: Literal["cosine", "dot"] = Field(
        "cosine", title="Similarity", description="dot: gradients are not normalised, so that short examples with large ones win."
    )
    dim: int = Field(
        0, ge=0, le=2**20, title="Dimension", description="Score with this many dimensions, made of the stored ones. 0: all of them."
    )
    subtask_columns: bool = Field(
        False, title="A column a subtask", description="Keep every subtask's score in the scores file, not only the best."
    )

    @model_validator(mode="after")
    def _checkpoints_differ(self) -> Self:
        if any(number < 1 for number in self.checkpoints) or len(set(self.checkpoints)) != len(self.checkpoints):
            raise ValueError(f"expected `checkpoints` that differ, counted from 1, got {self.checkpoints}")
        return self


Rule = Literal["top", "round_robin_subtasks", "round_robin_examples"]


class SelectionSettings(Settings):
    """How many examples are selected, and by which rule."""

    by: Literal["fraction", "count", "tokens"] = Field("fraction", title="Budget in")
    amount: float = Field(0.05, gt=0, title="Amount", description="0.05 of the pool, 1000 examples or 2000000 tokens.")
    rule: Literal["auto", Rule] = Field(
        "auto",
        title="Rule",
        description="top: best over all subtasks. round_robin_subtasks, round_robin_examples: the best of each subtask, or of each target "
        "example, in turn. auto: round_robin_examples for rds+, else top.",
    )
    min_tokens: int = Field(0, ge=0, title="Shortest", description="Examples with fewer tokens are not selected.")
    max_tokens: int = Field(0, ge=0, title="Longest", description="Examples with more tokens are not selected. 0: no bound.")
    near_duplicates: float = Field(
        0, ge=0, lt=1, title="Near duplicates", description="Leave out what shares this much (Jaccard) with a better one. 0: keep them."
    )
    contaminated: Literal["report", "exclude", "ignore"] = Field(
        "report",
        title="Copies of target examples",
        description="report: show those that stand in a pool. exclude: never select them, too. ignore: do not look for them.",
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if 0 < self.max_tokens < self.min_tokens:
            raise ValueError(f"expected `min_tokens` of at most `max_tokens`, got {self.min_tokens} and {self.max_tokens}")
        return self

    @model_validator(mode="after")
    def _amount_suits_unit(self) -> Self:
        if self.by == "fraction" and self.amount > 1:
            raise ValueError(f"expected an `amount` of at most 1 for a fraction, got {self.amount:g}")
        if self.by != "fraction" and self.amount != math.floor(self.amount):
            raise ValueError(f"expected a whole `amount` of {self.by}, got {self.amount:g}")
        return self


class ExecutionSettings(Settings):
    """Where and in what pieces the work runs. Nothing here changes a result."""

    runner: Literal["local", "ray", "dask"] = Field(
        "local", title="Runner", description="local: this process. ray, dask: the workers of a cluster, with the extra of that name."
    )
    cluster: Address = Field(
        "",
        title="Cluster",
        description="Address of a running one: auto or ray://head:10001 for ray, tcp://scheduler:8786 for dask. Empty: one is started on "
        "this machine for the run.",
    )
    workers: int = Field(
        0,
        ge=0,
        title="Workers",
        description="Of a cluster that is started here: one process, one model each. 0: one a GPU, or two on a CPU.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", title="Device", description="auto: a GPU where this machine has one. cuda: also where only the workers of a cluster do."
    )
    shard_size: int = Field(1024, ge=1, le=65536, title="Examples a shard", description="Aim at 1 to 10 minutes a shard.")
    batch_tokens: int = Field(0, ge=0, title="Tokens a batch", description="0: 16384 on a GPU, 1024 on a CPU. Halved when memory runs out.")
    stage_hours: float = Field(0, ge=0, title="Hours a stage", description="A stage that takes longer is ended as failed. 0: no limit.")

    @model_validator(mode="after")
    def _cluster_has_a_runner(self) -> Self:
        if self.runner == "local" and (self.cluster or self.workers):
            raise ValueError("expected `runner: ray` or `dask` with `cluster` or `workers`, got local")
        if self.cluster and self.workers:
            raise ValueError(f"expected `workers` of 0 with `cluster`, which has its own, got {self.workers}")
        return self

    @property
    def remote(self) -> bool:
        """Whether heavy tasks run in other processes than the flow."""
        return self.runner != "local"

    def tokens_a_batch(self, device: str) -> int:
        """Return the padded tokens of a batch on a device."""
        return self.batch_tokens or (16384 if device == "cuda" else 1024)


class RewarmSettings(Settings):
    """When a selection that is made again trains its warmup again."""

    when: Literal["never", "when_pool_grew_by", "always"] = "never"
    pool_grew_by: float = Field(0.5, gt=0)


Method = Literal["less", "random", "bm25", "dsir", "rds", "rds+", "perplexity"]


_STARTS = "A relative path starts where `less-flow serve` or the worker was started."


class SelectSettings(Settings):
    """One selection run."""

    # What everyone sets comes first: the form shows fields in this order.
    name: Name = Field(title="Name", description="Names the run and the folder of its results.")
    pools: list[PoolSettings] = Field(min_length=1, title="Pools", description="Where examples are selected from.")
    targets: list[TargetSettings] = Field(min_length=1, title="Targets", description="What they are selected for.")
    method: Method = Field(
        "less",
        title="Method",
        description="less: gradients. bm25, dsir: words. rds, rds+: hidden states. perplexity: the model's loss, the middle. random.",
    )
    selection: SelectionSettings = Field(SelectionSettings(), title="Selection")
    model: ModelSettings = Field(title="Model")
    data_dir: Address = Field(".", title="Data folder", description=f"Relative pool and target files start here. {_STARTS}")
    store: Address = Field("store", min_length=1, title="Store", description=f"Folder or URL of features, shared by all runs. {_STARTS}")
    runs: Address = Field(
        "runs", min_length=1, title="Results", description=f"Folder or URL; this run writes to its folder NAME. {_STARTS}"
    )
    warmup: WarmupSettings = Field(WarmupSettings(), title="Warmup")
    features: FeatureSettings = Field(FeatureSettings(), title="Features")
    imported: ImportedSettings = Field(ImportedSettings(), title="Gradients of the LESS scripts")
    influence: InfluenceSettings = Field(InfluenceSettings(), title="Influence")
    seed: int = Field(0, ge=0, lt=2**31, title="Seed", description="Of the methods that draw: random and dsir.")
    execution: ExecutionSettings = Field(ExecutionSettings(), title="Execution")

    @property
    def rule(self) -> Rule:
        """The rule of selection, `auto` resolved."""
        if self.selection.rule != "auto":
            return self.selection.rule
        return "round_robin_examples" if self.method == "rds+" else "top"

    @model_validator(mode="after")
    def _gradients_are_of_less(self) -> Self:
        if self.imported.pool and self.method != "less":
            raise ValueError(f"expected `imported` gradients with `method: less` only, got {self.method}")
        return self

    @property
    def scoring(self) -> Scoring:
        """How scores are made; only gradients that are computed here can be multiplied whole."""
        return self.influence.scoring if self.method == "less" and not self.imported.pool else "store"

    @model_validator(mode="after")
    def _shortlist_suits(self) -> Self:
        if self.scoring == "rerank" and self.rule != "top":
            raise ValueError(
                f"expected `selection.rule: top` with `scoring: rerank`, got {self.rule}: its shortlist is of the best overall"
            )
        if self.scoring == "rerank" and self.selection.by == "fraction" and self.selection.amount > self.influence.shortlist:
            raise ValueError(
                f"expected an `influence.shortlist` of at least the budget of {self.selection.amount:g}, got {self.influence.shortlist:g}"
            )
        if self.scoring == "exact" and self.influence.dim:
            raise ValueError("expected `influence.dim` of 0 with `scoring: exact`, which projects nothing")
        return self

    @model_validator(mode="after")
    def _dimension_is_there(self) -> Self:
        stored, dim = self.features.projection.dim, self.influence.dim
        if dim and (self.method != "less" or self.imported.pool):
            raise ValueError(
                "expected `influence.dim` of 0: only features that this project computed for `method: less` can be made narrower"
            )
        if dim and self.features.rounded:
            raise ValueError(f"expected features.storage of float16 or float32 with `influence.dim`, got {self.features.storage}")
        if dim > stored or (dim and stored % dim):
            raise ValueError(f"expected an `influence.dim` that divides features.projection.dim = {stored}, got {dim}")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for what, names in (("pool", [p.name for p in self.pools]), ("target", [t.name for t in self.targets])):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"expected {what} names that differ, got {sorted(twice)} more than once")
        return self

    def pool(self, name: str) -> PoolSettings:
        return next(pool for pool in self.pools if pool.name == name)

    def target(self, name: str) -> TargetSettings:
        return next(target for target in self.targets if target.name == name)

    def data_path(self, path: str) -> str:
        """Return `path` as the data folder sees it; absolute paths and URLs stay as they are."""
        if "://" in path or Path(path).is_absolute():
            return path
        return f"{self.data_dir.rstrip('/')}/{path}" if self.data_dir not in ("", ".") else path

    def spelled_out(self) -> Self:
        """Return the same settings with paths that a cluster's workers, which stand in other folders, understand as we do."""
        if not self.execution.remote:
            return self
        imported = {side: absolute_path(getattr(self.imported, side)) for side in ("pool", "target")}
        checkpoints = [absolute_path(path) for path in self.warmup.checkpoints]
        return self.model_copy(
            update={
                "store": absolute_path(self.store),
                "runs": absolute_path(self.runs),
                "data_dir": absolute_path(self.data_dir or "."),
                "warmup": self.warmup.model_copy(update={"checkpoints": checkpoints}),
                "imported": self.imported.model_copy(update=imported),
            }
        )


def absolute_path(path: str) -> str:
    """Return a path from the root on; nothing and URLs stay as they are."""
    return path if not path or "://" in path else str(Path(path).expanduser().absolute())
