"""Outcomes and agreements for tests of what is shown of a comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

from less_core.report.comparison.outcomes import UNTRAINED, WHOLE_POOL, Agreement, ComparisonSummary, Outcome

LOSSES = {
    "less": [1.20, 1.22, 1.18],
    "random": [1.30, 1.31, 1.32],
    "bm25": [1.25, 1.19, 1.28],
    WHOLE_POOL: [1.21, 1.20, 1.22],
    UNTRAINED: [1.60],
}


def make_outcomes(losses: Mapping[str, Sequence[float]] = LOSSES, target: str = "t", amount: float = 0.05, **changes: Any) -> list[Outcome]:
    """Make an outcome a method and seed; what is no method has no budget."""
    values: dict[str, Any] = {"target": target, "training": "0a", "examples": 40, "held_out": 1200, "accuracy": None, "tasks": {}}
    return [
        Outcome(method=method, amount=0 if method in (UNTRAINED, WHOLE_POOL) else amount, seed=seed, loss=loss, **(values | changes))
        for method, found in losses.items()
        for seed, loss in enumerate(found)
    ]


def make_agreement(methods: Sequence[str], target: str = "t") -> Agreement:
    """Make a matrix of overlaps and correlations that differ, some of the correlations not there."""
    places = range(len(methods))
    overlap = [[1.0 if row == column else 1 / (2 + abs(row - column)) for column in places] for row in places]
    correlation = [[None if row == column else (-1) ** (row + column) / (1 + max(row, column)) for column in places] for row in places]
    if len(methods) > 2:
        correlation[0][2] = correlation[2][0] = None
    return Agreement(target=target, methods=list(methods), overlap=overlap, correlation=correlation)


def make_comparison(outcomes: Sequence[Outcome] | None = None, **changes: Any) -> ComparisonSummary:
    """Make the summary of a comparison over three seeds."""
    values: dict[str, Any] = {
        "name": "side-by-side",
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "trained": "HuggingFaceTB/SmolLM2-360M",
        "training": "LoRA of rank 128, 4 epochs, batch 128, learning rate 2e-05",
        "seeds": [0, 1, 2],
        "seconds": 192.4,
        "outcomes": make_outcomes() if outcomes is None else outcomes,
        "agreements": [make_agreement(["less 0.05", "random 0.05", "bm25 0.05"])],
        "settings_yaml": "select: {name: side-by-side}\n",
    }
    return ComparisonSummary(**(values | changes))
