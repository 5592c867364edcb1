"""What changed, in sentences."""

from collections.abc import Callable
from typing import Any

import pytest

from less_core.changes.records import Cost, TargetChange
from less_core.report.changes import wording as wording

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "gsm8k: 3 in, 3 out of 40; overlap (Jaccard) 0.86"),
        ({"now": 42, "kept": 37, "came_in": 5, "jaccard": 37 / 45}, "gsm8k: 5 in, 3 out of 40, now 42; overlap (Jaccard) 0.82"),
        (
            {"before": 0, "now": 1_200, "came_in": 1_200, "went_out": 0, "jaccard": 0.0},
            "gsm8k: 1,200 in, 0 out of 0, now 1,200; overlap (Jaccard) 0.00",
        ),
        ({"came_in": 0, "went_out": 0}, "gsm8k: the same 40 examples"),
        ({"came_in": 0, "went_out": 0, "now": 1, "before": 1}, "gsm8k: the same 1 example"),
        ({"target": "a\u202e\nb", "came_in": 0, "went_out": 0}, r"a\u202e\nb: the same 40 examples"),
    ],
)
def test_headline_says_how_many_came_in_and_went_out(changes: dict[str, Any], sentence: str, selection_with: Make) -> None:
    assert wording.headline_changes(selection_with(**changes)) == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "new in the pool: 1 of the 3 that came in; no longer in the pool: 0 of the 3 that went out"),
        ({"came_in": 0}, "no longer in the pool: 0 of the 3 that went out"),
        ({"came_in": 0, "went_out": 0}, ""),
    ],
)
def test_origins_tell_the_pools_doing_from_the_scores(changes: dict[str, Any], sentence: str, selection_with: Make) -> None:
    assert wording.origins(selection_with(**changes)) == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "780 examples scored in both versions, rank correlation (Spearman) 0.97; the 37 kept moved 2.5 ranks on average"),
        ({"spearman": None}, "780 examples scored in both versions; the 37 kept moved 2.5 ranks on average"),
        ({"spearman": None, "mean_rank_shift": None, "common": 0}, "0 examples scored in both versions"),
        (
            {"mean_rank_shift": 12_345.6},
            "780 examples scored in both versions, rank correlation (Spearman) 0.97; the 37 kept moved 12,345.6 ranks on average",
        ),
    ],
)
def test_agreement_leaves_out_what_there_is_none_of(changes: dict[str, Any], sentence: str, selection_with: Make) -> None:
    assert wording.agreement(selection_with(**({"mean_rank_shift": 2.46} | changes))) == sentence


@pytest.mark.parametrize(
    ("features", "computed", "seconds", "from_nothing", "sentence"),
    [
        (2_400, 120, 31.0, 560.0, "computed 120 of 2,400 features (5.0%) in 31 s; from nothing about 9 min 20 s"),
        (2_400, 0, 4.0, None, "computed 0 of 2,400 features (0%) in 4.0 s"),
        (0, 0, 0.5, None, "computed 0 of 0 features in 0.5 s"),
    ],
)
def test_cost_is_told_against_a_run_from_nothing(
    features: int, computed: int, seconds: float, from_nothing: float | None, sentence: str
) -> None:
    cost = Cost(features=features, computed=computed, seconds=seconds, seconds_from_nothing=from_nothing)
    assert wording.cost_in_words(cost) == sentence


def test_model_and_targets_are_told_in_words(changes_with: Make) -> None:
    assert [wording.model_in_words(changes_with(model_changed=changed)) for changed in (False, True)] == [
        "The same base model.",
        "Another base model.",
    ]
    told = [
        wording.target_in_words(TargetChange(name="t", what=what, examples_before=8, examples_now=9))
        for what in ("added", "removed", "changed")
    ]
    assert told == ["added, 9 examples", "removed, 8 examples", "changed, 8 examples before, 9 now"]


def test_moves_have_a_dash_where_a_version_has_no_score(move_with: Make) -> None:
    move = move_with(1, rank_before=1_057, score_before=0.0301, why="rose")
    assert (wording.rank_move(move), wording.score_move(move), wording.reason(move)) == ("1,057 → 1", "0.03010 → 0.08000", "rose")
    move = move_with(1, rank_now=None, score_now=None, rank_before=2, score_before=0.5, why="removed")
    assert (wording.rank_move(move), wording.score_move(move), wording.reason(move)) == ("2 → –", "0.5000 → –", "no longer in the pool")


@pytest.mark.parametrize("link", ["http://127.0.0.1:4200/runs/flow-run/0193", "https://prefect.example/a-b_c~d?x=1&y=%20#z"])
def test_web_address_is_kept(link: str) -> None:
    assert wording.web_address(link) == link


@pytest.mark.parametrize(
    "link",
    [
        "",
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "file:///etc/passwd",
        "http://good.example@evil.example",
        "http://x.example/)![a](http://y.example",
        'http://x.example/" onclick="alert(1)',
        "http://x.example/\nb",
        "http://x.example\n",
        "http://x.example/<b>",
        "http://x.example/\u202e",
        "http://x.example/|a",
        " http://x.example",
        "http://",
    ],
)
def test_web_address_of_anything_else_is_nothing(link: str) -> None:
    assert wording.web_address(link) == ""
