"""Re-selection: nothing changed, something changed, something failed."""

import json
from pathlib import Path

import pytest
from prefect import get_client
from samples import conversation, write_jsonl
from service import wait_for

from flows.agree import agree
from flows.reselect import reselect
from flows.select_data import select_data
from less_core.errors import DataError
from less_core.features.requirements import stage_names
from less_core.settings.select import SelectSettings
from less_core.storage.layout import run_of
from less_core.storage.versions import current_version, list_versions

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def shards(settings: SelectSettings) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path(settings.store).glob("features/*/*.parquet")}


def test_a_selection_is_made_again_only_where_something_changed(make_settings, tmp_path) -> None:
    settings = make_settings(name="again")
    runs, before = settings.runs, None
    first = select_data(settings)
    before = shards(settings)
    state = reselect("again", runs=runs, return_state=True)
    unchanged = state.result()
    assert state.name == "Unchanged"
    told = f"Nothing changed since version {first.version}."
    assert unchanged == first.model_copy(update={"unchanged": told, "headlines": {}})
    assert len(list_versions(run_of(settings))) == 1

    write_jsonl(tmp_path / "b.jsonl", [conversation(i) for i in [*range(100, 120), 500, 501, 502]])
    state = reselect("again", runs=runs, return_state=True)
    second = state.result()
    assert state.name == "Completed"
    new = shards(settings).keys() - before.keys()
    assert {path: shards(settings)[path] for path in before} == before
    assert len(new) == 2  # one shard of three examples a checkpoint
    record = json.loads(Path(second.folder, "run.json").read_text())
    pool = next(stage for stage in record["stages"] if stage["name"] == "pool features")
    assert (pool["computed"], pool["reused"]) == (3, 50)
    assert record["changes"]["before"] == first.version
    assert [p["added"] for p in record["changes"]["pools"]] == [0, 3]
    assert "Since" in Path(second.report).read_text()
    lines = agree([f"again@{first.version}", "again"], runs)
    assert len(lines) == 1
    assert "Jaccard" in lines[0] or "the same" in lines[0]


def events(name: str) -> list[dict]:
    """The events of a selection on the server, oldest first."""
    body = {"filter": {"resource": {"id": [f"less.selection.{name}"]}}, "limit": 50}
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/events/filter", json=body).json()["events"]
    return sorted(found, key=lambda event: event["occurred"])


def test_finished_stages_and_a_changed_selection_are_events_for_automations(make_settings, tmp_path) -> None:
    settings = make_settings(name="told")
    names = stage_names(settings)
    select_data(settings)
    write_jsonl(tmp_path / "b.jsonl", [conversation(i) for i in range(600, 640)])
    reselect("told", runs=settings.runs, tell_above=0.0)
    found = wait_for(lambda: len(seen := events("told")) >= 2 * len(names) + 3 and seen, 60)
    stages = [event["resource"]["less.stage"] for event in found if event["event"] == "less.stage.finished"]
    assert stages == [*names, *names]
    assert [event["event"] for event in found].count("less.selection.published") == 2
    (changed,) = [event for event in found if event["event"] == "less.selection.changed"]
    assert changed["payload"]["target"] == "t"
    assert changed["payload"]["new"] > 0


def test_a_failed_re_selection_leaves_the_last_good_one(make_settings, tmp_path) -> None:
    settings = make_settings(name="kept")
    select_data(settings)
    published = run_of(settings).published
    before = Path(published.selected("t")).read_bytes(), current_version(run_of(settings))
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(DataError, match=r"a\.jsonl, line 31"):
        reselect("kept", runs=settings.runs)
    assert (Path(published.selected("t")).read_bytes(), current_version(run_of(settings))) == before
