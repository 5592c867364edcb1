"""What is said of a comparison: who is best, and where LESS stands, for it or against it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcome_samples import make_outcomes

from less_core.report.comparison.outcomes import Spread, method_rows
from less_core.report.comparison.wording import spread, verdict

Losses = dict[str, list[float]]


def say(losses: Losses, *more: Any) -> str:
    """The verdict on methods with one budget, and on `more` outcomes."""
    return verdict(method_rows([*make_outcomes(losses), *more], "t"))


def facts(text: str) -> list[list[str]]:
    """The parts of a verdict, each as its words in any order."""
    return [sorted(part.replace(",", "").split()) for part in text.split("; ")]


@pytest.mark.parametrize(
    ("values", "digits", "text"),
    [
        ([1.0], 4, "1.0000"),
        ([1.23456789], 2, "1.23"),
        ([1.0, 3.0], 4, "2.0000 ± 1.4142"),
        ([0.5, 0.5, 0.5], 3, "0.500 ± 0.000"),
    ],
)
def test_spread_is_mean_and_deviation_or_the_mean_alone_of_one_seed(values: list[float], digits: int, text: str) -> None:
    assert spread(Spread(values=values), digits) == text


@pytest.mark.parametrize(
    ("losses", "text"),
    [
        (
            {"less": [1.0, 1.2], "random": [1.4, 1.6], "bm25": [1.3, 1.3]},
            "lowest loss: less 0.05 (1.1000 ± 0.1414); less (1.1000 ± 0.1414) is number 1 of 3; 0.4000 below random on every seed",
        ),
        (
            {"less": [1.5, 1.7], "random": [1.4, 1.6], "bm25": [1.3, 1.3]},
            "lowest loss: bm25 0.05 (1.3000 ± 0.0000); "
            "less (1.6000 ± 0.1414) is number 3 of 3; 0.1000 above random, within the spread of seeds",
        ),
        (
            {"less": [1.8, 1.7], "random": [1.4, 1.6]},
            "lowest loss: random 0.05 (1.5000 ± 0.1414); less (1.7500 ± 0.0707) is number 2 of 2; 0.2500 above random on every seed",
        ),
        (
            {"less": [1.0, 1.5], "random": [1.4, 1.6]},
            "lowest loss: less 0.05 (1.2500 ± 0.3536); "
            "less (1.2500 ± 0.3536) is number 1 of 2; 0.2500 below random, within the spread of seeds",
        ),
        (
            {"less": [1.4, 1.5], "random": [1.5, 1.6]},  # one value in common is an overlap
            "lowest loss: less 0.05 (1.4500 ± 0.0707); "
            "less (1.4500 ± 0.0707) is number 1 of 2; 0.1000 below random, within the spread of seeds",
        ),
        (
            {"less": [1.0], "random": [1.4]},
            "lowest loss: less 0.05 (1.0000); less (1.0000) is number 1 of 2; 0.4000 below random",
        ),
        ({"less": [1.0], "bm25": [0.5]}, "lowest loss: bm25 0.05 (0.5000); less (1.0000) is number 2 of 2"),
        ({"random": [1.0], "bm25": [0.5]}, "lowest loss: bm25 0.05 (0.5000)"),
        ({}, "no method was tried"),
        ({"untrained": [1.0]}, "no method was tried"),
        (
            {"untrained": [0.5], "less": [1.0], "whole pool": [0.25]},
            "lowest loss: less 0.05 (1.0000); less (1.0000) is number 1 of 1; whole pool: 0.2500; untrained: 0.5000",
        ),
    ],
    ids=[
        "best",
        "worst",
        "above on every seed",
        "within",
        "touching",
        "one seed",
        "no random",
        "no less",
        "none",
        "none but",
        "references",
    ],
)
def test_verdict_says_who_is_best_and_where_less_stands(losses: Losses, text: str) -> None:
    assert facts(say(losses)) == facts(text)


def test_verdict_holds_less_against_random_of_the_same_budget() -> None:
    more = [*make_outcomes({"less": [0.9], "random": [0.8]}, amount=0.5), *make_outcomes({"random": [0.1]}, amount=0.25)]
    text = "lowest loss: random 0.25 (0.1000); less (0.9000) is number 3 of 5; 0.1000 above random"
    assert say({"less": [1.0], "random": [1.4]}, *more) == text


def test_verdict_reads_as_sentences_over_several_seeds() -> None:
    assert say({"less": [1.0, 1.2], "random": [1.4, 1.6]}).endswith("; 0.4000 below random on every seed")
    assert say({"less": [1.0, 1.5], "random": [1.4, 1.6]}).endswith("; 0.2500 below random, within the spread of seeds")


def test_verdict_calls_equal_losses_neither_above_nor_below() -> None:
    assert "above" not in say({"less": [1.0], "random": [1.0]})
    assert "below" not in say({"less": [1.0], "random": [1.0]})


LOSSES = st.lists(st.integers(1, 9).map(lambda tenths: tenths / 10), min_size=2, max_size=4)


@given(LOSSES, LOSSES, st.lists(LOSSES, max_size=3))
def test_verdict_claims_every_seed_only_where_no_seed_of_either_lies_among_the_others(
    less: list[float], random: list[float], others: list[list[float]]
) -> None:
    others_named = dict(zip(["bm25", "dsir", "rds"], others, strict=False))
    text = say({"less": less, "random": random} | others_named)
    every_less_below = all(one < other for one in less for other in random)
    every_less_above = all(one > other for one in less for other in random)
    assert ("on every seed" in text) == (every_less_below or every_less_above)
    assert ("within the spread of seeds" in text or "as random" in text) == (not every_less_below and not every_less_above)
    assert ("below" in text) >= every_less_below
    assert ("above" in text) >= every_less_above
    means = [sum(values) / len(values) for values in (random, *others_named.values())]
    better = sum(mean < sum(less) / len(less) - 1e-9 for mean in means)
    alike = sum(abs(mean - sum(less) / len(less)) <= 1e-9 for mean in means)
    assert any(f"is number {place} of {1 + len(means)}" in text for place in range(1 + better, 2 + better + alike))
