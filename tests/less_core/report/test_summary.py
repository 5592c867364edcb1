"""Records of what changed go with the summary of a run, through its JSON too."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from less_core.changes.records import ChangeSummary, ExampleMove
from less_core.report.summary import RunSummary

Make = Callable[..., Any]


def test_changes_are_the_same_after_a_round_trip_through_json(summary_with: Make, changes_with: Make, no_change: ChangeSummary) -> None:
    for changes in (changes_with(), no_change):
        summary = summary_with(version="7", changes=changes)
        assert RunSummary.model_validate(json.loads(json.dumps(summary.model_dump(mode="json")))) == summary


def test_summary_of_a_first_version_has_no_changes(summary: RunSummary) -> None:
    old = summary.model_dump(exclude={"version", "changes"})
    assert RunSummary.model_validate(old) == summary
    assert (summary.version, summary.changes) == ("", None)


def test_move_has_one_of_four_reasons(move_with: Callable[..., ExampleMove]) -> None:
    assert {move_with(1, why=why).why for why in ("new", "rose", "removed", "fell")} == {"new", "rose", "removed", "fell"}
    with pytest.raises(ValidationError, match="why"):
        move_with(1, why="left")
