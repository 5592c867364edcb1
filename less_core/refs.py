"""What passes from task to task: small records that say where things are and how many, never tensors or long lists."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from less_core.settings.plain_numbers import plain
from less_core.settings.select import LoraSettings

Side = Literal["pool", "target"]
SIDES: tuple[Side, ...] = ("pool", "target")
FeatureKind = Literal["adam", "sgd", "sign", "rds", "rds+"]


class Record(BaseModel):
    """Base of all records: frozen, and fields that it does not declare are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRef(Record):
    """A base model that was found and looked at, and how examples are encoded for it."""

    folder: str
    fingerprint: str
    encoding: str  # fingerprint of tokenizer, template and longest length
    template: str
    max_length: int
    device: str
    dtype: str
    lora: LoraSettings


class InputsRef(Record):
    """What there is to select from, for and with: a model, and the digests of pools and targets by name."""

    method: list[int]  # versions of what computes a selection
    model: ModelRef
    pools: dict[str, str]
    targets: dict[str, str]


class PoolRef(Record):
    """One pool's index and what was counted while it was read."""

    name: str
    path: str
    rows: int
    skipped: int
    bad_rows: list[str]
    copies: int  # rows that copy a target example


class PoolCounts(Record):
    """What became of one pool's rows when pools were put together."""

    name: str
    rows: int
    duplicates: int
    not_sampled: int
    examples: int


class ExamplesRef(Record):
    """The index of a run's examples, one row group a shard."""

    side: Side
    path: str
    encoding: str
    shards: int
    examples: int
    tokens: int = 0  # of those with a label; known once they are encoded
    pools: list[PoolCounts] = []


class PreparedRef(Record):
    """The data, indexed and encoded."""

    pools: list[PoolRef]
    pool: ExamplesRef
    target: ExamplesRef


class EncodedRef(Record):
    """One shard of encoded examples."""

    number: int
    examples: int
    tokens: int  # of those with a label
    computed: bool
    bytes_written: int


class CheckpointRef(Record):
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


class WarmupRef(Record):
    """The warmup that a version's checkpoints come from."""

    trained_for: str  # the version
    needs: str  # address of all that a warmup depends on but its examples
    folders: list[str]  # of its checkpoints, oldest first
    pool_examples: int  # in the pool when it was trained
    new_examples: int  # that came into the pool since
    fresh: bool  # whether a training on today's pool would be this one


class CheckpointsRef(Record):
    """The checkpoints of a run, oldest first."""

    checkpoints: list[CheckpointRef]
    computed: int
    warmup: WarmupRef | None  # None where the method takes no gradients, or takes them as they were made elsewhere
    how: str  # a sentence: trained or kept, and why
    bytes_written: int = 0


class ExactRef(Record):
    """Targets whose gradients are multiplied whole, in parts that fit into memory."""

    path: str  # of the parts
    groups: int  # of parts that are in memory together; each is a pass over the pool
    targets: str  # the index of the target examples
    tokens: int  # of these
    shortlist: str  # ids of the pool's examples that are scored exactly; empty: all


class Holding(Record):
    """What the store has of the examples of one shard at one checkpoint: their features, or their exact influence on a target part."""

    part: int  # number of the target part, or FEATURES
    folder: str
    fingerprint: str
    files: list[str]
    missing: int


FEATURES = -1  # in place of a part's number


class FeatureWork(Record):
    """What is to be computed in one pass over the examples of one shard at one checkpoint."""

    side: Side
    checkpoint: CheckpointRef
    shard: int
    of: int
    group: int  # of target parts; 0 where there are none
    examples: int
    holdings: list[Holding]

    @property
    def missing(self) -> int:
        return max(holding.missing for holding in self.holdings)


class FeatureShardRef(Record):
    """Files that together hold what was to be computed of one shard's examples at one checkpoint."""

    checkpoint: str  # its fingerprint: names may repeat where checkpoints come from elsewhere
    shard: int
    files: dict[int, list[str]]  # by target part, and features
    elsewhere: bool = False  # another run computes it now
    computed: int
    reused: int
    flagged: int  # of those computed: without a label, or with a non-finite gradient
    tokens: int
    seconds: float
    bytes_written: int


class FeaturesRef(Record):
    """All features of one side, or exact influence of it; the files stand in manifests."""

    path: str  # of the features' manifest; empty where there are none
    computed: int
    reused: int
    flagged: int
    bytes_written: int


class ScoresRef(Record):
    """One target's scores."""

    target: str
    path: str
    examples: int  # usable target examples
    unusable: int  # without a label, or with a non-finite gradient
    subtasks: list[str]
    left_out: list[str]  # subtasks without a usable example, with the reason


class PoolFlags(Record):
    """What became known of one pool's examples when they were scored."""

    name: str
    tokens: int
    truncated: int
    no_label: int
    nonfinite: int


class InfluenceRef(Record):
    """The scores of a run."""

    scores: list[ScoresRef]
    pools: list[PoolFlags]
    examples: int
    bytes_written: int


class SelectionRef(Record):
    """One target's selection, or the merged one."""

    target: str
    path: str
    address: str  # of the file's content
    selected: int
    tokens: int
    threshold: float  # the lowest score of all selected
    passed_over: list[str]  # how many were left out whatever their score, and why, each a phrase


class TrialRef(Record):
    """One training to be tried and judged: on what, for which targets."""

    method: str  # or "untrained", "whole pool"
    amount: float  # the budget; 0 where there is none
    seed: int
    targets: list[str]  # that it is judged on
    index: str  # of the pool's examples
    ids: str  # of the selected ones; empty for all of the pool, or none

    @property
    def label(self) -> str:
        budget = f" {plain(self.amount)}" if self.amount else ""
        target = f" for {self.targets[0]}" if self.ids else ""
        return f"{self.method}{budget}{target} · seed {self.seed}"


class TrainingRef(Record):
    """A trained model in the store; no folder and no examples for the model as it is."""

    trial: TrialRef
    fingerprint: str
    folder: str
    examples: int
    computed: bool


class OutcomeRef(Record):
    """How good a trained model is at one target."""

    trial: TrialRef
    training: str  # fingerprint of the trained model in the store; of the model itself where it is untrained
    target: str
    examples: int  # it was trained on
    held_out: int  # examples with a label
    loss: float  # mean over these
    accuracy: float | None
    tasks: dict[str, float]  # of lm-eval: "task/metric" and its value
    computed: bool
    bytes_written: int


class ComparisonRef(Record):
    """A finished comparison of methods."""

    name: str
    table: str
    picture: str
    record: str


class RunRef(Record):
    """A finished run. Its paths are the published ones, which lead to its newest version."""

    name: str
    version: str
    folder: str
    report: str
    selections: list[SelectionRef]
    headlines: dict[str, str] = {}  # by target: what was picked, a sentence
    changes: dict[str, str] = {}  # by target: what changed since the last version, a phrase
    unchanged: str = ""  # where nothing changed, the sentence that says so


class StageCost(Record):
    """One row of the stage table."""

    name: str
    unit: str  # what `total` counts: "examples", "checkpoints", ...
    total: int
    reused: int  # found in the store
    computed: int
    flagged: int = 0  # left out of what follows: bad rows, examples without a label or with a non-finite gradient
    seconds: float
    bytes_written: int
