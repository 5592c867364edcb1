"""What a person does to a run, and what happens to it: cancel, suspend, kill whatever you like; the store goes on."""

import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import yaml
from samples import conversation, write_jsonl
from service import ENDED, Service, wait_for

from less_core.config import SelectSettings
from less_core.storage.parquet import read_columns

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
    assert not list(Path(settings.store).rglob(".*.tmp"))
    assert_goes_on(service, settings, undisturbed)


def test_suspended_run_leaves_its_process_and_goes_on_when_it_is_resumed(service, settings, undisturbed) -> None:
    run = select_until(service, settings, 12)
    details = {"pause_reschedule": True, "pause_timeout": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    service.post(f"flow_runs/{run}/set_state", {"state": {"type": "PAUSED", "name": "Suspended", "state_details": details}})
    wait_for(lambda: not service.engines())
    assert service.state(run) == "PAUSED"
    service.post(f"flow_runs/{run}/resume")
    assert_goes_on(service, settings, undisturbed, run)


def test_killed_run_is_shown_as_crashed_and_the_next_goes_on(service, settings, undisturbed) -> None:
    run = select_until(service, settings, 15)
    os.kill(service.processes("prefect.engine")[0].pid, signal.SIGKILL)
    assert service.ended(run) == "CRASHED"
    assert_goes_on(service, settings, undisturbed)


def test_killed_worker_takes_its_run_with_it_and_is_started_again_for_the_next(service, settings, undisturbed) -> None:
    run = select_until(service, settings, 12)
    (worker,) = service.processes("worker start")
    worker.kill()
    assert service.ended(run) == "CRASHED"
    wait_for(lambda: not service.engines() and [process for process in service.processes("worker start") if process != worker])
    assert_goes_on(service, settings, undisturbed)


def test_killed_server_is_started_again_and_a_run_goes_on(service, settings, undisturbed) -> None:
    run = select_until(service, settings, 12)
    (server,) = service.processes("server start")
    server.kill()
    assert_goes_on(service, settings, undisturbed, run)


def test_ticks_of_a_schedule_that_overlap_do_not_run_at_once(service, settings) -> None:
    """A re-selection that takes longer than its schedule's interval: what comes in the meantime is skipped or waits."""
    config = Path(settings.runs).parent / "ticking.yaml"
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json") | {"name": "ticking"}))
    nightly = service.deployment("reselect-nightly")
    (schedule,) = nightly["schedules"]
    assert schedule["schedule"] == {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "day_or": True}
    assert schedule["parameters"]["rewarm"] == "when_pool_grew_by"
    # The schedule of prefect.yaml with its own parameters, switched on and made to tick every few seconds.
    often = {"interval": 6, "anchor_date": datetime.now(UTC).isoformat(), "timezone": "UTC"}
    parameters = schedule["parameters"] | {"selection": str(config)}
    ticks = f"deployments/{nightly['id']}/schedules/{schedule['id']}"
    service.change(ticks, {"active": True, "schedule": often, "parameters": parameters})
    seen: list[int] = []

    def ran() -> bool:
        states = [run["state"]["type"] for run in service.runs("reselect-nightly")]
        seen.append(sum(state in ("RUNNING", "PENDING") for state in states))
        return states.count("COMPLETED") >= 2 and len(states) > 3

    wait_for(ran)
    service.change(ticks, {"active": False})
    # What had come due by then still runs; a service that is stopped in its midst could not say that nothing is left.
    wait_for(lambda: not [run for run in service.runs("reselect-nightly") if run["state"]["type"] not in ENDED])
    assert max(seen) == 1
    finished = [run for run in service.runs("reselect-nightly") if run["state"]["type"] == "COMPLETED"]
    times = sorted((run["start_time"], run["end_time"]) for run in finished)
    assert all(end <= start for (_, end), (start, _) in pairwise(times))
    assert {run["state"]["name"] for run in finished} == {"Completed", "Unchanged"}


def test_a_schedule_makes_runs(service: Service) -> None:
    """Later releases of SQLAlchemy make none, silently; later ones of FastAPI let no server start."""
    schedule = [{"active": True, "schedule": {"cron": "0 3 * * *", "timezone": "UTC"}}]
    address = f"{service.base}/api/deployments/{service.deployment('reselect')['id']}/schedules"
    (made,) = wait_for(lambda: httpx.post(address, json=schedule).raise_for_status().json())  # asked again where SQLite is busy
    scheduled = wait_for(lambda: [run for run in service.runs("reselect") if run["auto_scheduled"]])
    assert all(run["state"]["type"] == "SCHEDULED" and "T03:00:00" in run["expected_start_time"] for run in scheduled)
    assert scheduled[0]["parameters"]["selection"] == "none"
    wait_for(lambda: httpx.delete(f"{address}/{made['id']}").raise_for_status())
