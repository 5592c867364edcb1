"""What a report shows, as plain JSON-able records. Filled in by the report stage, read by every renderer."""

from pydantic import Field

from less_core.changes.records import ChangeSummary
from less_core.refs import Record, StageCost
from less_core.report.score_parts import Why


class CopyView(Record):
    """A row of a pool that copies a target example, or most of it."""

    file: str
    index: int  # row in the file
    target: str
    target_example: int  # from 1, in the order of the target's rows
    share: float  # of the target example that the row holds


class PoolSummary(Record):
    """Counts of one pool. `examples` are the distinct ones that no earlier pool holds; the flags count among these."""

    name: str
    rows: int  # rows read, bad ones included
    skipped: int  # bad rows left out because of `on_bad_row: skip`
    duplicates: int  # rows whose content stands earlier in this or an earlier pool
    not_sampled: int  # distinct examples left out by `sample`
    examples: int
    tokens: int
    truncated: int
    no_label: int
    nonfinite: int
    bad_rows: list[str]  # messages of the first few skipped rows
    copies: list[CopyView] = Field(default_factory=list)  # rows that copy a target example, the first few
    copied: int = 0  # how many there are


class CheckpointSummary(Record):
    """One checkpoint: where it came from and how it counts."""

    name: str  # "checkpoint-12"
    step: int
    learning_rate: float  # mean of its epoch
    weight: float  # learning rate over the sum of all: w_i
    epsilon_share: float  # share of coordinates where beta2 * v < epsilon


class Histogram(Record):
    """Counts between edges, of all scored examples and of the selected ones."""

    edges: list[float]  # one more than counts
    pool: list[int]
    selected: list[int]


class SourceShare(Record):
    """How one source of one pool is represented. `source` is the row's `dataset` or `source`, or the pool's name."""

    pool: str
    source: str
    pool_examples: int
    selected_examples: int


class LengthBin(Record):
    """Scores of the examples with low <= tokens < high."""

    low: int
    high: int
    examples: int
    mean_score: float
    selected: int


class SubtaskCount(Record):
    """How many selected examples have this subtask as their best."""

    subtask: str
    selected: int


class ExampleView(Record):
    """An example as a reader sees it. `text` comes from the pool and is not to be trusted."""

    rank: int  # 1 is best
    example_id: str
    pool: str
    file: str  # its name within the pool
    index: int  # row in the file
    score: float
    best_subtask: str
    num_tokens: int
    text: str
    why: Why | None = None  # its score taken apart, for the first few


class TargetSummary(Record):
    """The selection for one target."""

    name: str
    examples: int  # usable target examples
    unusable: int  # without a label, or with a non-finite gradient
    subtasks: int
    left_out: list[str]  # subtasks without one usable example, with the reason
    scored: int
    selected: int
    selected_tokens: int
    threshold: float  # the lowest score of all selected
    passed_over: list[str] = Field(default_factory=list)  # how many were left out whatever their score, and why, each a phrase
    length_correlation: float  # Pearson, score with number of tokens, over all scored examples
    scores: Histogram
    sources: list[SourceShare]
    lengths: list[LengthBin]
    best_subtasks: list[SubtaskCount]
    best: list[ExampleView]
    worst: list[ExampleView]


class RunSummary(Record):
    """All of a run."""

    name: str
    version: str = ""
    method: str = "less"
    rule: str = "top"
    finished: str  # ISO 8601, UTC
    model: str
    device: str
    budget: str  # "5% of the pool"
    settings_yaml: str
    versions: dict[str, str]
    seconds: float
    stages: list[StageCost]
    pools: list[PoolSummary]
    checkpoints: list[CheckpointSummary]
    targets: list[TargetSummary]
    copies_excluded: bool = False  # whether copies of target examples are never selected
    merged: int  # examples in the merged selection; 0 with one target
    files: list[str]  # what the run left behind
    changes: ChangeSummary | None = None  # against the version before, where there is one
