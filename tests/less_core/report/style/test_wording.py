"""Numbers read as a person would write them."""

import math

import pytest

from less_core.refs import StageCost
from less_core.report.style import wording


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.55, "55%"),
        (0.05, "5.0%"),
        (0.0251, "2.5%"),
        (0.0, "0%"),
        (1.0, "100%"),
        (0.0004, "<0.1%"),
        (0.9996, ">99.9%"),
        (0.996, "99.6%"),
        (0.0996, "10%"),
        (math.nan, "–"),
    ],
)
def test_percent_rounds_and_keeps_0_and_100_exact(share: float, text: str) -> None:
    assert wording.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.2, "2.2×"), (0.8, "0.80×"), (0.0, "0×"), (0.001, "<0.01×"), (0.999, "1.0×"), (12.4, "12×"), (1234.0, "1,234×"), (math.nan, "–")],
)
def test_ratio_has_two_digits(value: float, text: str) -> None:
    assert wording.ratio(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (17_200_000, "17.2 MB"), (3_100_000_000, "3.1 GB"), (2_000_000_000_000, "2.0 TB")],
)
def test_size_steps_by_thousands(value: int, text: str) -> None:
    assert wording.size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.7, "1 min 00 s"),
        (192.0, "3 min 12 s"),
        (7_500.0, "2 h 05 min"),
        (3_600_000.0, "1,000 h 00 min"),
    ],
)
def test_duration_carries_into_larger_units(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "0.05000"), (-0.0192, "-0.01920"), (1.2e-5, "1.200e-05"), (0.0, "0.000"), (math.nan, "–"), (math.inf, "–")]
)
def test_score_has_four_digits(value: float, text: str) -> None:
    assert wording.score(value) == text


@pytest.mark.parametrize(
    ("computed", "seconds", "text"),
    [(800, 3_801.7, "0.210 examples/s"), (800, 2.1, "381 examples/s"), (120_000, 10.0, "12,000 examples/s"), (0, 5.0, "–"), (5, 0.0, "–")],
)
def test_rate_counts_only_what_was_computed(computed: int, seconds: float, text: str) -> None:
    stage = StageCost(name="scores", unit="examples", total=10_000_000, reused=9_000, computed=computed, seconds=seconds, bytes_written=0)
    assert wording.rate(stage) == text


@pytest.mark.parametrize(("low", "high", "text"), [(64, 96, "64–95"), (64, 65, "64"), (2048, 1 << 30, "2048+")])
def test_span_names_last_number_within(low: int, high: int, text: str) -> None:
    assert wording.span(low, high) == text


def test_plural_follows_count() -> None:
    assert [wording.plural(count, "row") for count in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a minute"),
        (40, "1 min"),
        (250, "4 min"),
        (3599, "1 h"),
        (7900, "2 h 10 min"),
        (86400, "1 day"),
        (100 * 3600, "4 days 4 h"),
    ],
)
def test_estimated_time_is_rounded(seconds: float, text: str) -> None:
    assert wording.roughly(seconds) == text


def test_estimated_time_in_a_sentence() -> None:
    assert (wording.about(10), wording.about(250)) == ("less than a minute", "about 4 min")


def test_range_says_its_unit_once_where_both_ends_share_it() -> None:
    assert wording.between(120, 300) == "2 to 5 min"
    assert wording.between(2400, 7200) == "40 min to 2 h"
    assert wording.between(10, 300) == "less than a minute to 5 min"
