"""What a person sees of a run while it goes on, and whether its numbers are true."""

import json
import sys
import uuid
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.flow_engine import run_flow
from samples import conversation, write_jsonl

import flows
import flows.run.progress as progress
from flows.run.names import typed_or
from flows.run.progress import Stage, board
from flows.select_data import select_data
from less_core.settings.file import parse_settings
from less_core.settings.select import SelectSettings
from less_core.storage.layout import run_of

SAY_THE_COST = ("report.html", "run.json", "basis.json")  # so that they cannot count themselves
pytestmark = pytest.mark.slow


def artifacts(**of: Any) -> list[Artifact]:
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=ArtifactFilter(**of))


def settings_in(folder: Path, model: Path, **sections: Any) -> SelectSettings:
    """A selection from 30 examples in four shards at two checkpoints, with exact scores."""
    write_jsonl(folder / "pool.jsonl", [conversation(i) for i in range(30)])
    write_jsonl(folder / "target.jsonl", [conversation(i) for i in range(1000, 1004)])
    data: dict[str, Any] = {
        "name": f"true-{uuid.uuid4().hex[:8]}",
        "model": {"path": str(model), "lora": {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}},
        "store": str(folder / "store"),
        "runs": str(folder / "runs"),
        "pools": [{"name": "pool", "path": str(folder / "pool.jsonl")}],
        "targets": [{"name": "target", "path": str(folder / "target.jsonl")}],
        "warmup": {"fraction": 0.4, "epochs": 2, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 1e-3},
        "features": {"projection": {"dim": 256}, "max_length": 128},
        "selection": {"by": "count", "amount": 5},
        "execution": {"shard_size": 8, "batch_tokens": 64, "device": "cpu"},
    }
    return parse_settings(data | sections, where="test")


class Told:
    """A finished run, and all lines of progress that the server was told of it, by the artifact's key."""

    def __init__(self, settings: SelectSettings, run: FlowRun, lines: list[tuple[str, float, str]], percents: list[float]) -> None:
        self.settings = settings
        self.run = run
        self.lines = lines
        self.percents = percents
        self.record = json.loads(Path(run_of(settings).published.record).read_text())

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        return {stage["name"]: stage for stage in self.record["stages"]}


@pytest.fixture(scope="module")
def told(prefect_server: str, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Told:
    lines: list[tuple[str, float, str]] = []
    percents: list[float] = []
    settings = settings_in(tmp_path_factory.mktemp("told"), tiny_model)
    advance, update = Stage.advance, progress.update_progress_artifact

    def update_and_note(artifact: UUID, **changes: Any) -> Any:
        percents.append(changes["progress"])
        return update(artifact, **changes)

    def advance_and_show(stage: Stage, examples: int, tokens: int = 0) -> None:
        advance(stage, examples, tokens)
        lines.append((stage.name, stage._share, stage.line))
        stage._show("running")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stage, "advance", advance_and_show)
        patch.setattr(progress, "update_progress_artifact", update_and_note)
        state = select_data(settings, return_state=True)
    assert state.is_completed(), state
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)  # type: ignore[arg-type]
    return Told(settings, run, lines, percents)


def test_run_shows_that_it_starts_before_its_stages_are_imported(prefect_server: str, tmp_path, tiny_model, monkeypatch) -> None:
    monkeypatch.delattr(flows, "stages", raising=False)
    monkeypatch.setitem(sys.modules, "flows.stages", None)
    settings = settings_in(tmp_path, tiny_model)
    state = select_data(settings, return_state=True)
    assert state.is_failed()
    found = artifacts(key=ArtifactFilterKey(any_=[f"{settings.name}-progress"]))
    assert [artifact.type for artifact in found] == ["progress"]
    assert found[0].flow_run_id == state.state_details.flow_run_id


def test_examples_are_counted_once_whatever_the_checkpoints(told: Told) -> None:
    assert {name: (told.stages[name]["total"], told.stages[name]["unit"]) for name in ("target features", "pool features")} == {
        "target features": (4, "examples"),
        "pool features": (30, "examples"),
    }
    pool = [(share, line) for name, share, line in told.lines if name == "pool features"]
    assert pool[-1][0] == 1
    assert "30 of 30 examples" in pool[-1][1]
    assert all(" of 30 examples" in line for _, line in pool)
    warmup = [line for name, _, line in told.lines if name == "warmup"]
    assert all(" of 12 examples" in line for line in warmup)


def test_lines_of_the_pool_say_when_the_whole_run_will_end(told: Told) -> None:
    pool = [line for name, _, line in told.lines if name == "pool features"]
    assert all("left" in line and "run " in line for line in pool)


def test_progress_is_whole_percent_and_ends_at_a_hundred(told: Told) -> None:
    found = artifacts(flow_run_id=ArtifactFilterFlowRunId(any_=[told.run.id]))
    (shown,) = [artifact for artifact in found if artifact.type == "progress"]
    assert shown.data == 100
    assert [percent for percent in told.percents if percent != int(percent)] == []
    assert "done after" in (shown.description or "")
    assert progress.percent_of(0.9748333) == 97
    assert progress.percent_of(0.9999) == 99


def test_bytes_of_the_stages_are_those_of_the_files(told: Told) -> None:
    """All that the run left in store and results but the three files that say these numbers; the table of stages counts them too."""
    folders = (Path(told.settings.store), Path(run_of(told.settings).versions))
    files = {path: path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    counted = {path: size for path, size in files.items() if path.name not in SAY_THE_COST}
    assert sum(stage["bytes_written"] for stage in told.stages.values()) == sum(counted.values())
    assert all(told.stages[name]["bytes_written"] > 0 for name in told.stages if name != "check")
    (table,) = artifacts(key=ArtifactFilterKey(any_=[f"{told.settings.name}-stages"]))
    assert sum(row["bytes"] for row in json.loads(table.data)) == sum(files.values())  # type: ignore[arg-type]


def test_stages_are_named_after_their_selection(told: Told) -> None:
    of_it = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[told.run.id]))
    with get_client(sync_client=True) as client:
        names = {run.name for run in client.read_flow_runs(flow_run_filter=of_it)}
    stages = ("check", "prepare", "warmup", "target features", "pool features", "influence", "selection and report")
    assert names == {f"{told.settings.name} · {stage}" for stage in stages}


@pytest.mark.parametrize(("typed", "shown"), [("before the holidays", "before the holidays"), (None, "nowhere")])
def test_name_that_a_person_types_is_kept_and_one_that_prefect_makes_up_is_not(
    prefect_server: str, tmp_path, tiny_model, monkeypatch, typed: str | None, shown: str
) -> None:
    monkeypatch.delattr(flows, "stages", raising=False)
    monkeypatch.setitem(sys.modules, "flows.stages", None)  # it ends there; by then it has its name
    settings = settings_in(tmp_path, tiny_model, name="nowhere")
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(select_data, parameters={"config": settings.model_dump()}, name=typed)
        run_flow(select_data, flow_run=run, parameters={"config": settings}, return_type="state")
        assert client.read_flow_run(run.id).name == shown


def test_server_that_takes_no_artifact_ends_no_run(prefect_server: str, tmp_path, tiny_model, monkeypatch) -> None:
    import flows.stages as stages

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError("the server is full")

    for module in (progress, stages):
        for name in ("create_progress_artifact", "create_table_artifact", "create_markdown_artifact", "create_image_artifact"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, refuse)
    assert select_data(settings_in(tmp_path, tiny_model), return_state=True).is_completed()


@flow(flow_run_name=typed_or("{name}"))
def at_work(name: str) -> None:
    with board(name), Stage("pool features", "examples") as stage:
        stage.done(1, 1)


def test_run_that_waits_says_what_for_and_then_that_it_waits_no_more(prefect_server: str) -> None:
    pool = f"pool-{uuid.uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        at = {"flow_id": client.create_flow(at_work), "work_pool_name": pool, "work_queue_name": "default"}
        deployment = client.create_deployment(name=pool, **at)
        first, second, third = (
            client.create_flow_run_from_deployment(deployment, parameters={"name": name}) for name in ("maths", "law", "art")
        )

        def told_to(run: FlowRun) -> list[Artifact]:
            return artifacts(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]), key=ArtifactFilterKey(any_=["waiting"]))

        run_flow(at_work, flow_run=client.read_flow_run(first.id), parameters={"name": "maths"})
        (before,) = told_to(third)
        assert str(before.data).startswith("Waits for the device: `maths` ")
        run_flow(at_work, flow_run=client.read_flow_run(second.id), parameters={"name": "law"})
        (after,) = told_to(third)
        assert after.id == before.id
        assert str(after.data).startswith("Waits for the device: `law` ")
        assert [str(artifact.data) for artifact in told_to(second)] == ["Waited for the device, and has it now."]
        assert told_to(first) == []
