"""The first sentences of a report."""

from collections.abc import Callable

import pytest

from less_core.report.headline import headline, notices
from less_core.report.summary import RunSummary, SourceShare, TargetSummary

MakeTarget = Callable[..., TargetSummary]


def source(name: str, size: int, selected: int) -> SourceShare:
    return SourceShare(pool=name, source=name, pool_examples=size, selected_examples=selected)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "gsm8k: 40 of 800 examples; 55% of them from gsm8k_train, which is 25% of the pool"),
        ({"selected": 0}, "gsm8k: none of 800 examples"),
        ({"selected": 0, "scored": 1}, "gsm8k: none of 1 example"),
        ({"sources": [source("web", 800, 40)]}, "gsm8k: 40 of 800 examples; all from web, the only source"),
        (
            {"sources": [source("a", 400, 20), source("b", 400, 20)]},
            "gsm8k: 40 of 800 examples; no source has a larger share than in the pool",
        ),
        (
            {"sources": [source("a\u202e\nb", 1, 40), source("b", 799, 0)]},
            r"gsm8k: 40 of 800 examples; 100% of them from a\u202e\nb, which is 0.1% of the pool",
        ),
    ],
)
def test_headline_names_source_that_gained_most(changes: dict[str, object], sentence: str, target_with: MakeTarget) -> None:
    assert headline(target_with(**changes)) == sentence


def test_headline_clips_long_source(target_with: MakeTarget) -> None:
    sentence = headline(target_with(sources=[source("x" * 500, 1, 40), source("b", 799, 0)]))
    assert "x" * 59 + "…" in sentence
    assert "x" * 60 not in sentence


def test_notices_name_what_was_left_out(summary: RunSummary) -> None:
    assert notices(summary) == [
        "Pool codegen: 4 bad rows skipped.",
        "Pool p3: 7 examples without a label, never selected.",
        "Target mmlu: 3 subtasks left out.",
    ]


def test_notices_are_empty_where_nothing_was_left_out(summary_with: Callable[..., RunSummary], target_with: MakeTarget) -> None:
    assert notices(summary_with(pools=[], targets=[target_with()])) == []


def test_notices_count_the_target_examples_that_could_not_be_used(summary_with: Callable[..., RunSummary], target_with: MakeTarget) -> None:
    (notice,) = notices(summary_with(pools=[], targets=[target_with(name="mmlu", unusable=5)]))
    assert notice == "Target mmlu: 5 examples without a label or with a non-finite gradient, not counted."
