"""What a report shows of the difference between a version and the one before it. Filled in by comparison, read by every renderer."""

from typing import Literal

from less_core.refs import Record

Why = Literal["new", "rose", "removed", "fell"]  # new, removed: to and from the pools; rose, fell: stood in both versions


class SettingChange(Record):
    """A setting that differs. Values are short texts, "not set" where a version has no such setting."""

    key: str  # "selection.amount", "pools.web.path"
    before: str
    now: str


class PoolChange(Record):
    """Distinct examples of one pool. What is edited counts neither as added nor as removed, nor does what only changed its pool."""

    name: str
    before: int
    now: int
    added: int
    removed: int
    edited: int  # rows whose content changed in place


class TargetChange(Record):
    """A target that does not ask for what it asked for before."""

    name: str
    what: Literal["added", "removed", "changed"]
    examples_before: int
    examples_now: int


class ExampleMove(Record):
    """An example that came into a selection or went out of it. A rank or a score is None where the version has none for it."""

    example_id: str
    pool: str
    file: str
    index: int  # row in the file
    why: Why
    rank_before: int | None  # 1 is best of all that were scored
    rank_now: int | None
    score_before: float | None
    score_now: float | None
    text: str  # from the pool and not to be trusted; empty where it was not read


class PoolDrift(Record):
    """How the scores of one pool's examples moved, over those scored in both versions."""

    pool: str  # as it is now
    examples: int
    mean_before: float
    mean_now: float
    rms: float  # root mean square of now minus before


class SelectionChange(Record):
    """The selections of two versions for a target that both have."""

    target: str
    before: int
    now: int
    kept: int
    came_in: int
    went_out: int
    came_in_new: int  # of those that came in: not in the pools before
    went_out_removed: int  # of those that went out: no longer in the pools
    jaccard: float  # kept over all that either selected; 1 where neither selected any
    common: int  # examples scored in both versions
    spearman: float | None  # of their scores; None with fewer than two, or where either version scores all alike
    mean_rank_shift: float | None  # mean of |rank now - rank before| of kept examples; None without any
    drift: list[PoolDrift]
    moved_in: list[ExampleMove]  # the first few, best first
    moved_out: list[ExampleMove]


class Cost(Record):
    """What the version cost, against what it would have cost without the work of earlier ones."""

    features: int  # at all checkpoints
    computed: int
    seconds: float  # this run
    seconds_from_nothing: float | None  # an estimate


class ChangeSummary(Record):
    """Everything that is told about a version against the one before it."""

    before: str  # id of the version compared with
    before_link: str  # address of its page, or empty
    model_changed: bool
    warmup: str  # a sentence: whether the checkpoints are the same, and why
    settings: list[SettingChange]
    pools: list[PoolChange]
    targets: list[TargetChange]
    selections: list[SelectionChange]
    cost: Cost
