"""What a person does to a run, and what happens to it: cancel, pause, kill whatever you like; the store goes on."""

import logging
import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counts import in_full
from samples import conversation, write_jsonl
from service import Service, wait_for

from less_core.files.parquet import read_columns
from less_core.settings.select import SelectSettings

pytestmark = pytest.mark.slow

POOL = 60  # examples, two a shard: enough shards that something happens in their midst
EXECUTION = {"shard_size": 2, "device": "cpu"}


@pytest.fixture
def settings(make_settings, tmp_path: Path) -> SelectSettings:
    write_jsonl(tmp_path / "a.jsonl", [conversation(i) for i in range(POOL)])
    return make_settings(name="disturbed", pools=[{"name": "a", "path": "a.jsonl"}], execution=EXECUTION)


@dataclass(frozen=True)
class Peace:
    """What a selection comes to that nobody disturbs."""

    shards: dict[str, bytes]
    selected: list[bytes]


@pytest.fixture(scope="module")
def made_in_peace() -> dict[str, Peace]:
    """Where the undisturbed selection is kept, the same for all tests: nothing in it depends on where it was made."""
    return {}


@pytest.fixture
def undisturbed(make_settings, run_stages, settings: SelectSettings, made_in_peace: dict[str, Peace], tmp_path: Path) -> Peace:
    """The same selection made in peace, in a store of its own."""
    if not made_in_peace:
        pools = [pool.model_dump() for pool in settings.pools]
        result = run_stages(make_settings(name="peace", pools=pools, execution=EXECUTION, store=str(tmp_path / "peace")))
        made_in_peace["peace"] = Peace(contents(shards(result.settings)), result.selected())
    return made_in_peace["peace"]


def shards(settings: SelectSettings) -> dict[str, tuple[bytes, int]]:
    """Every feature shard by its name, with its bytes and its time."""
    found = Path(settings.store).glob("features/*/*.parquet")
    return {f"{path.parent.name}/{path.name}": (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def contents(found: dict[str, tuple[bytes, int]]) -> dict[str, bytes]:
    return {path: content for path, (content, _) in found.items()}


def select_until(service: Service, settings: SelectSettings, count: int) -> str:
    """Start a selection and wait until it has computed that many more shards."""
    goal = len(shards(settings)) + count
    run = service.start("select", {"config": settings.model_dump(mode="json")})
    wait_for(lambda: len(shards(settings)) >= goal or service.state(run) == "FAILED")
    assert service.state(run) == "RUNNING"
    return run


def assert_goes_on(service: Service, settings: SelectSettings, undisturbed: Peace, run: str | None = None) -> None:
    """What stood in the store stays as it is; a new run, or `run`, completes it and ends like one that nobody disturbed."""
    before = shards(settings)
    for path in before:
        read_columns(f"{settings.store}/features/{path}", ["example_id"])  # whole
    run = run or service.start("select", {"config": settings.model_dump(mode="json")})
    assert service.ended(run) == "COMPLETED"
    after = shards(settings)
    assert {path: after[path] for path in before} == before  # bytes and times: nothing was computed again
    assert contents(after) == undisturbed.shards
    assert Path(f"{settings.runs}/disturbed/selected/t.jsonl").read_bytes().splitlines() == undisturbed.selected


def test_cancelled_run_ends_within_seconds_leaves_no_process_and_the_next_goes_on(service, settings, undisturbed) -> None:
    run = select_until(service, settings, 15)
    processes = service.engines()
    started = time.monotonic()
    service.post(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    wait_for(lambda: service.state(run) == "CANCELLED" and not any(process.is_running() for process in processes))
    print(f"cancelled in {time.monotonic() - started:.1f} s; the project promises 10 s")
    assert service.stages(run)["pool features"] == "CANCELLED"
    assert service.logs(run, logging.ERROR) == []  # what was stopped is no error
    assert not list(Path(settings.store).rglob(".*.tmp"))
    assert_goes_on(service, settings, undisturbed)


def pause(service: Service, run: str) -> None:
    """Pause a run as Prefect's V2 UI does, whose limit of five seconds here would soon fail the run."""
    details = {"pause_reschedule": True, "pause_timeout": (datetime.now(UTC) + timedelta(seconds=5)).isoformat()}
    state = {"type": "PAUSED", "name": "Suspended", "state_details": details}
    service.post(f"flow_runs/{run}/set_state", {"state": state, "force": True})


def test_paused_run_leaves_no_process_computes_nothing_and_goes_on_in_one_process(service, settings, undisturbed) -> None:
    run = select_until(service, settings, 6)
    processes = service.engines()
    started = time.monotonic()
    pause(service, run)
    wait_for(lambda: not any(process.is_running() for process in processes))
    print(f"at rest after {time.monotonic() - started:.1f} s; the project promises 10 s")
    at_rest = set(shards(settings))
    time.sleep(6)  # longer than the limit that it was paused with
    assert set(shards(settings)) == at_rest
    assert service.run(run)["state"]["name"] == "Suspended"
    assert "Resume goes on from the store" in service.run(run)["state"]["message"]
    assert "RUNNING" not in service.stages(run).values()
    service.post(f"flow_runs/{run}/resume")
    wait_for(lambda: service.processes("prefect.engine"))
    assert len(service.processes("prefect.engine")) == 1
    wait_for(lambda: service.state(run) == "RUNNING")
    time.sleep(5)  # it has looked for stages that somebody paused; those that rest since the pause are none of them
    assert not [stage for stage in service.stage_runs(run) if "cannot be paused" in (stage["state"]["message"] or "")]
    assert_goes_on(service, settings, undisturbed, run)


def test_pause_of_a_stage_is_refused_and_names_what_to_pause(service, settings) -> None:
    run = select_until(service, settings, 4)
    stage = wait_for(lambda: next((s["id"] for s in service.stage_runs(run) if s["state"]["type"] == "RUNNING"), None))
    pause(service, stage)
    wait_for(lambda: "Pause the run" in (service.run(stage)["state"]["message"] or "") or service.state(stage) == "COMPLETED")
    assert service.ended(run) == "COMPLETED"
    assert "COMPLETED" in set(service.stages(run).values())


def test_killed_run_is_shown_as_crashed_and_the_next_goes_on(service, settings, undisturbed) -> None:
    run = select_until(service, settings, 15)
    os.kill(service.processes("prefect.engine")[0].pid, signal.SIGKILL)
    assert service.ended(run) == "CRASHED"
    assert_goes_on(service, settings, undisturbed)


@in_full("a killed run")
def test_killed_worker_takes_its_run_with_it_and_is_started_again_for_the_next(service, settings, undisturbed) -> None:
    run = select_until(service, settings, 12)
    (worker,) = service.processes("worker start")
    worker.kill()
    assert service.ended(run) == "CRASHED"
    wait_for(lambda: not service.engines() and [process for process in service.processes("worker start") if process != worker])
    assert_goes_on(service, settings, undisturbed)


@in_full("a killed run")
def test_killed_server_is_started_again_and_a_run_goes_on(service, settings, undisturbed) -> None:
    run = select_until(service, settings, 12)
    (server,) = service.processes("server start")
    server.kill()
    assert_goes_on(service, settings, undisturbed, run)
