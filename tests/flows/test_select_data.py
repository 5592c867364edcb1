"""The flow on a server: what a person sees of a run, what is retried and what is not."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowRunFilter, FlowRunFilterId, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import StateType, TaskRun

from flows.run.artifacts import artifact_key
from flows.select_data import select_data
from less_core.errors import DataError
from less_core.storage.layout import run_of
from tasks.features import extract_features

NO_WAIT = 0
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def task_runs(parent: State[Any]) -> list[TaskRun]:
    """All task runs of a flow run's stages."""
    parent_id = parent.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        stages = client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent_id])))
        ids = [stage.id for stage in stages]
        found: list[TaskRun] = []
        while page := client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ids)), limit=100, offset=len(found)):
            found += page
        return found


def test_flow_shows_readable_tasks_then_cached_ones_and_leaves_all_files(make_settings) -> None:
    settings = make_settings()
    first = select_data(settings, return_state=True)
    names = {run.name: run.state_name for run in task_runs(first)}
    assert {f"pool features ckpt {c}/2 · shard {s}/4" for c in (1, 2) for s in (1, 2, 3, 4)} <= names.keys()
    assert set(names.values()) == {"Completed"}
    second = select_data(settings, return_state=True)
    states = {run.name: run.state_name for run in task_runs(second)}
    for stage in ("pool features ckpt", "target features ckpt", "encode", "warmup"):
        assert {state for name, state in states.items() if name.startswith(stage)} == {"Cached"}
    run = run_of(settings).published
    for path in (run.report, run.record, run.scores("t"), run.selected("t")):
        assert Path(path).stat().st_size


def test_flow_leaves_artifacts_for_the_ui(make_settings) -> None:
    select_data(make_settings(name="Shown.Run"))
    kinds = {
        artifact_key("Shown.Run", "report"): "markdown",
        artifact_key("Shown.Run", "stages"): "table",
        artifact_key("Shown.Run", "scores-t"): "image",
        "pool-features-plan": "table",
        "pool-features-progress": "progress",
    }
    with get_client(sync_client=True) as client:
        for key, kind in kinds.items():
            found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
            assert [artifact.type for artifact in found[:1]] == [kind], key


def test_bad_row_fails_at_once_without_a_retry_and_names_the_line(make_settings, tmp_path) -> None:
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("{not json}\n")
    state = select_data(make_settings(), return_state=True)
    assert state.is_failed()
    with pytest.raises(DataError, match=r"a\.jsonl, line 31: expected one JSON object, got '\{not json\}'"):
        state.result()
    (failed,) = [run for run in task_runs(state) if run.name == "read pool a"]
    assert failed.run_count == 1


def test_input_output_fault_is_retried(make_settings, monkeypatch) -> None:
    monkeypatch.setattr(extract_features, "retry_delay_seconds", NO_WAIT)
    import tasks.features as module

    write, failures = module.write_feature_shard, [OSError(5, "Input/output error")]

    def write_or_fail(*arguments: Any, **options: Any) -> None:
        if failures:
            raise failures.pop()
        write(*arguments, **options)

    monkeypatch.setattr(module, "write_feature_shard", write_or_fail)
    state = select_data(make_settings(), return_state=True)
    assert state.is_completed()
    assert sorted(run.run_count for run in task_runs(state) if " features ckpt " in run.name)[-2:] == [1, 2]


def test_stage_that_takes_too_long_is_ended_and_its_work_with_it(make_settings, monkeypatch) -> None:
    import tasks.features as module

    make_settings()
    select_data(make_settings(selection={"by": "count", "amount": 4}))  # what is imported and loaded once is not to count
    begun, write = [], module.write_feature_shard

    def write_slowly(*arguments: Any, **options: Any) -> None:
        begun.append(time.monotonic())
        time.sleep(2)
        write(*arguments, **options)

    monkeypatch.setattr(module, "write_feature_shard", write_slowly)
    execution = {"shard_size": 1, "device": "cpu", "stage_hours": 8 / 3600}
    state = select_data(make_settings(execution=execution, features={"projection": {"dim": 128}, "max_length": 128}), return_state=True)
    assert state.type == StateType.FAILED, state
    print(repr(state.message), state.name)
    states = {run.name: run.state_type for run in task_runs(state)}
    cut = [type_ for name, type_ in states.items() if name.startswith("target features ckpt") or name.startswith("pool features ckpt")]
    assert StateType.COMPLETED in cut
    assert StateType.RUNNING not in cut
    count = len(begun)
    time.sleep(3)
    assert len(begun) == count  # nothing of it goes on in another thread


@pytest.mark.parametrize(("scoring", "stages"), [("exact", set()), ("rerank", {"shortlist", "exact influence"})])
def test_flow_with_exact_scores_gives_those_of_its_stages_one_by_one(
    make_settings, run_stages, tmp_path, scoring: str, stages: set[str]
) -> None:
    settings = make_settings(influence={"scoring": scoring})
    state = select_data(settings, return_state=True)
    assert state.is_completed()
    record = json.loads(Path(run_of(settings).published.record).read_text())
    assert stages < {stage["name"] for stage in record["stages"]}
    plain = run_stages(make_settings(influence={"scoring": scoring}, store=str(tmp_path / "plain"), name="plain"))
    assert Path(run_of(settings).published.selected("t")).read_bytes().splitlines() == plain.selected()


def test_a_shard_is_written_while_the_next_is_computed(make_settings, monkeypatch) -> None:
    import tasks.features as module

    write, compute = module.write_feature_shard, module._compute
    computed, changed = [0], threading.Condition()
    met: list[bool] = []

    def compute_and_tell(*arguments: Any, **options: Any) -> Any:
        found = compute(*arguments, **options)
        with changed:
            computed[0] += 1
            changed.notify_all()
        return found

    def write_when_the_next_is_there(*arguments: Any, **options: Any) -> None:
        with changed:
            before = computed[0]
            met.append(changed.wait_for(lambda: computed[0] > before, timeout=5))
        write(*arguments, **options)

    monkeypatch.setattr(module, "_compute", compute_and_tell)
    monkeypatch.setattr(module, "write_feature_shard", write_when_the_next_is_there)
    assert select_data(make_settings(), return_state=True).is_completed()
    assert met.count(True) >= 6, met  # of eight pool shards, all but the last, give or take one
