"""What a report shows of methods tried side by side: outcomes over seeds, and how far their selections agree."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence

from less_core.refs import Record
from less_core.settings.plain_numbers import plain

UNTRAINED, WHOLE_POOL = "untrained", "whole pool"


class Outcome(Record):
    """One training judged on one target."""

    method: str
    amount: float  # the budget; 0 where there is none
    target: str
    seed: int
    training: str  # fingerprint of the trained model in the store; of the model itself where it is untrained
    examples: int  # trained on
    held_out: int  # judged on
    loss: float
    accuracy: float | None
    tasks: dict[str, float]


class Spread(Record):
    """A number over seeds: mean, and standard deviation of a sample where there are several."""

    values: list[float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        return statistics.stdev(self.values) if len(self.values) > 1 and all(map(math.isfinite, self.values)) else None


class MethodRow(Record):
    """A method with one budget on one target, over all seeds."""

    method: str
    amount: float
    target: str
    examples: int
    held_out: int
    loss: Spread
    accuracy: Spread | None
    tasks: dict[str, Spread]

    @property
    def label(self) -> str:
        return f"{self.method} {plain(self.amount)}" if self.amount else self.method


class Agreement(Record):
    """How far the selections of some methods for one target agree, each with each; a matrix is a list of rows."""

    target: str
    methods: list[str]
    overlap: list[list[float]]  # Jaccard
    correlation: list[list[float | None]]  # Spearman, of the scores


class ComparisonSummary(Record):
    """All of a comparison."""

    name: str
    model: str  # that selects
    trained: str  # model that is trained
    training: str  # in words
    seeds: list[int]
    seconds: float
    outcomes: list[Outcome]
    agreements: list[Agreement]
    settings_yaml: str

    @property
    def targets(self) -> list[str]:
        return list(dict.fromkeys(outcome.target for outcome in self.outcomes))


def method_rows(outcomes: Sequence[Outcome], target: str) -> list[MethodRow]:
    """Return a target's rows, lowest mean loss first; a training that diverged on some seed comes last."""
    groups: dict[tuple[str, float], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.target == target:
            groups[outcome.method, outcome.amount].append(outcome)
    rows = [_row(method, amount, target, found) for (method, amount), found in groups.items()]
    return sorted(rows, key=lambda row: (not math.isfinite(row.loss.mean), row.loss.mean, row.label))


def _row(method: str, amount: float, target: str, found: list[Outcome]) -> MethodRow:
    accuracies = [outcome.accuracy for outcome in found if outcome.accuracy is not None]
    return MethodRow(
        method=method,
        amount=amount,
        target=target,
        examples=found[0].examples,
        held_out=found[0].held_out,
        loss=Spread(values=[outcome.loss for outcome in found]),
        accuracy=Spread(values=accuracies) if accuracies else None,
        tasks={task: Spread(values=[outcome.tasks[task] for outcome in found]) for task in found[0].tasks},
    )
