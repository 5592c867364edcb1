"""What passes from task to task: small records that say where things are and how many, never tensors or long lists."""

from pydantic import BaseModel, ConfigDict

from less_core.config import LoraSettings
from less_core.storage.layout import Side


class Ref(BaseModel):
    """Base of all refs: frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRef(Ref):
    """A base model that was found and looked at, and how examples are encoded for it."""

    folder: str
    fingerprint: str
    encoding: str  # fingerprint of tokenizer, template and longest length
    template: str
    max_length: int
    device: str
    dtype: str
    lora: LoraSettings


class PoolRef(Ref):
    """One pool's index and what was counted while it was read."""

    name: str
    path: str
    rows: int
    skipped: int
    bad_rows: list[str]


class PoolCounts(Ref):
    """What became of one pool's rows when pools were put together."""

    name: str
    duplicates: int
    not_sampled: int
    examples: int


class ExamplesRef(Ref):
    """The index of a run's examples, one row group a shard."""

    side: Side
    path: str
    encoding: str
    shards: int
    examples: int
    pools: list[PoolCounts] = []


class PreparedRef(Ref):
    """Model and data, looked at and encoded."""

    model: ModelRef
    pools: list[PoolRef]
    pool: ExamplesRef
    target: ExamplesRef


class EncodedRef(Ref):
    """One shard of encoded examples."""

    number: int
    examples: int
    computed: bool
    bytes_written: int


class CheckpointRef(Ref):
    """One checkpoint in the store."""

    name: str
    number: int  # from 1
    of: int
    folder: str
    fingerprint: str
    step: int
    learning_rate: float
    weight: float
    epsilon_share: float


class CheckpointsRef(Ref):
    """The checkpoints of a run, oldest first."""

    checkpoints: list[CheckpointRef]
    computed: int


class FeatureWork(Ref):
    """The features of one shard's examples at one checkpoint: what the store has, what is missing."""

    side: Side
    checkpoint: CheckpointRef
    fingerprint: str
    shard: int
    of: int
    files: list[str]
    examples: int
    missing: int


class FeatureShardRef(Ref):
    """Files that together hold the features of one shard's examples at one checkpoint."""

    checkpoint: str  # its fingerprint: names may repeat where checkpoints come from elsewhere
    shard: int
    files: list[str]
    computed: int
    reused: int
    tokens: int
    seconds: float
    bytes_written: int


class FeaturesRef(Ref):
    """All features of one side; the files stand in a manifest."""

    path: str
    computed: int
    reused: int
    bytes_written: int


class ScoresRef(Ref):
    """One target's scores."""

    target: str
    path: str
    examples: int  # usable target examples
    unusable: int  # without a label, or with a non-finite gradient
    subtasks: list[str]
    left_out: list[str]  # subtasks without a usable example, with the reason


class PoolFlags(Ref):
    """What became known of one pool's examples when they were scored."""

    name: str
    tokens: int
    truncated: int
    no_label: int
    nonfinite: int


class InfluenceRef(Ref):
    """The scores of a run."""

    scores: list[ScoresRef]
    pools: list[PoolFlags]
    examples: int
    bytes_written: int


class SelectionRef(Ref):
    """One target's selection, or the merged one."""

    target: str
    path: str
    selected: int
    tokens: int
    threshold: float


class RunRef(Ref):
    """A finished run."""

    name: str
    folder: str
    report: str
    selections: list[SelectionRef]
