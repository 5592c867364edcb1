"""Outcomes put together over seeds, against numpy on plain lists."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcome_samples import make_comparison, make_outcomes

from less_core.report.comparison.outcomes import ComparisonSummary, Outcome, Spread, method_rows

NUMBERS = st.floats(0, 20)
OUTCOMES = st.lists(
    st.builds(
        Outcome,
        method=st.sampled_from(["less", "random", "untrained"]),
        amount=st.sampled_from([0, 0.05, 0.5]),
        target=st.sampled_from(["t", "u"]),
        seed=st.integers(0, 3),
        examples=st.just(40),
        held_out=st.just(100),
        loss=NUMBERS,
        accuracy=st.none() | st.floats(0, 1),
        tasks=st.fixed_dictionaries({"arc/acc": NUMBERS, "echo/exact_match,picked": NUMBERS}),
    ),
    max_size=20,
)


def assert_spread(found: Spread | None, values: list[float]) -> None:
    """Against numpy: the mean, and the standard deviation of a sample of `values`."""
    if not values:
        assert found is None
        return
    assert found is not None
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.deviation == (pytest.approx(np.std(values, ddof=1), abs=1e-9) if len(values) > 1 else None)


@given(OUTCOMES)
def test_rows_have_each_method_and_budget_of_a_target_with_mean_and_sample_deviation_over_seeds(outcomes: list[Outcome]) -> None:
    rows = {(row.method, row.amount): row for row in method_rows(outcomes, "t")}
    assert len(rows) == len(method_rows(outcomes, "t"))
    assert rows.keys() == {(outcome.method, outcome.amount) for outcome in outcomes if outcome.target == "t"}
    for (method, amount), row in rows.items():
        of_row = [outcome for outcome in outcomes if (outcome.method, outcome.amount, outcome.target) == (method, amount, "t")]
        assert (row.target, row.examples, row.held_out) == ("t", 40, 100)
        assert_spread(row.loss, [outcome.loss for outcome in of_row])
        assert_spread(row.accuracy, [outcome.accuracy for outcome in of_row if outcome.accuracy is not None])
        assert row.tasks.keys() == {"arc/acc", "echo/exact_match,picked"}
        for task, found in row.tasks.items():
            assert_spread(found, [outcome.tasks[task] for outcome in of_row])


@given(OUTCOMES, st.randoms())
def test_rows_come_lowest_mean_loss_first_whatever_the_order_of_the_outcomes(outcomes: list[Outcome], random) -> None:
    rows = method_rows(outcomes, "t")
    means = [np.mean(row.loss.values) for row in rows]
    assert all(one <= other or one == pytest.approx(other) for one, other in pairwise(means))
    random.shuffle(outcomes)
    again = method_rows(outcomes, "t")
    assert [row.loss.mean for row in again] == [row.loss.mean for row in rows]


def test_rows_of_equal_loss_come_by_their_label() -> None:
    outcomes = make_outcomes({"random": [1.0], "less": [1.0], "bm25": [1.0]}) + make_outcomes({"less": [1.0]}, amount=0.01)
    assert [row.label for row in method_rows(outcomes, "t")] == ["bm25 0.05", "less 0.01", "less 0.05", "random 0.05"]


def test_rows_of_a_training_that_diverged_come_last() -> None:
    outcomes = make_outcomes({"less": [math.nan, math.nan], "random": [1.3, 1.4], "bm25": [1.2, 1.3]})
    assert [row.method for row in method_rows(outcomes, "t")] == ["bm25", "random", "less"]


def test_spread_over_a_training_that_diverged_has_no_deviation_that_is_a_number() -> None:
    deviation = Spread(values=[1.0, math.nan]).deviation
    assert deviation is None or math.isnan(deviation)


@pytest.mark.parametrize(
    ("method", "amount", "label"), [("less", 0.05, "less 0.05"), ("rds+", 1000, "rds+ 1000"), ("untrained", 0, "untrained")]
)
def test_label_is_the_method_and_its_budget_where_it_has_one(method: str, amount: float, label: str) -> None:
    (row,) = method_rows(make_outcomes({method: [1.0]}, amount=amount), "t")
    assert row.label == label


def test_targets_are_in_the_order_of_the_outcomes() -> None:
    outcomes = [*make_outcomes(target="z"), *make_outcomes(target="a"), *make_outcomes(target="z")]
    assert make_comparison(outcomes).targets == ["z", "a"]


def test_summary_comes_back_from_its_record() -> None:
    summary = make_comparison(make_outcomes(accuracy=0.5, tasks={"arc/acc": 0.25}))
    assert ComparisonSummary.model_validate(summary.model_dump(mode="json")) == summary
    assert ComparisonSummary.model_validate_json(summary.model_dump_json()) == summary
