"""The automations of `deployments/` on a server that is set up as its README says: they leave alone what ended by itself.

All of it with LESS_FAULTS=full (`make test-faults`): a hundred runs, looked at ten minutes later.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import yaml
from counts import FULL, Count
from service import ENDED, ROOT, Service, free_ports, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

RUNS = 100 if FULL else 10
EVERY = 8  # seconds between two ticks: no faster than two cores run them, or what is due would pile up
# The time after which a run is said to hang is shortened, so that `make test` need not wait for minutes.
WITHIN, LATER = (None, 600) if FULL else (12, 30)
FLOW = '''
import time
from prefect import flow
from prefect.context import get_run_context
from prefect.states import Completed, Failed

@flow(name="check")
def check():
    time.sleep(0.5)

@flow(name="reselect")
def reselect():
    """As the real one: seconds long, with a stage, and with the states that it can end in."""
    check()
    ends = {ENDS}[get_run_context().flow_run.id.int % {COUNT}]
    return Failed(message="by itself") if ends == "Failed" else Completed(name=ends, message="by itself")
'''
ENDS = ("Completed", "Unchanged", "Failed")


def ends_by_itself(run: dict[str, Any]) -> str:
    """Return the name of the state that a run's process reports."""
    return ENDS[UUID(run["id"]).int % len(ENDS)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Service]:
    """A server with the project's automations, its worker, and a deployment of runs that are seconds long."""
    port, _ = free_ports()
    (tmp_path / "flow.py").write_text(FLOW.replace("{ENDS}", repr(ENDS)).replace("{COUNT}", str(len(ENDS))))
    (tmp_path / "deployments").mkdir()
    for file in ROOT.glob("deployments/*-detection.yaml"):
        automation = yaml.safe_load(file.read_text())
        if WITHIN and automation["name"] == "less-cancel-detection":
            automation["trigger"]["within"] = WITHIN
        (tmp_path / "deployments" / file.name).write_text(yaml.safe_dump(automation))
    every = {"interval": EVERY, "slug": "often", "active": False}
    deployment = {"name": "nightly", "entrypoint": "flow.py:reselect", "work_pool": {"name": "less"}, "schedules": [every]}
    here = [{"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}]
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump({"pull": here, "deployments": [deployment]}))
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "3",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PYTHONPATH": str(ROOT),
    }
    children: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "log").open("wb")

    def start(*command: str) -> None:
        arguments = [sys.executable, "-m", *command]
        children.append(subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True))

    def run(*command: str) -> None:
        subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, env=environment, stdout=log, stderr=log, check=True)

    start("prefect", "server", "start", "--port", str(port))
    try:
        service = Service(tmp_path, f"http://127.0.0.1:{port}", children[0], "")
        wait_for(lambda: httpx.get(f"{service.base}/api/health", timeout=2).status_code == 200)
        run("prefect", "work-pool", "create", "less", "--type", "process")
        run("flows.server.setup")  # queue and automations
        run("prefect", "--no-prompt", "deploy", "--all")
        start("prefect", "worker", "start", "--pool", "less", "--limit", "2")
        yield service
    finally:
        for child in reversed(children):
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
        log.close()


def test_short_runs_stay_in_the_state_that_their_process_reported(server: Service, count: Count) -> None:
    assert {found["name"] for found in server.post("automations/filter")} == {"less-cancel-detection", "less-crash-detection"}
    nightly = server.deployment("nightly")
    ticks = f"deployments/{nightly['id']}/schedules/{nightly['schedules'][0]['id']}"
    server.change(ticks, {"active": True})

    def ended() -> list[dict[str, Any]]:
        return [run for run in server.runs("nightly") if run["state"]["type"] in ENDED]

    wait_for(lambda: len(ended()) >= RUNS, 1800)
    server.change(ticks, {"active": False})
    wait_for(lambda: not [run for run in server.runs("nightly") if run["state"]["type"] not in ENDED], 600)
    time.sleep(LATER)
    runs = ended()
    assert {run["id"]: run["state"]["name"] for run in runs} == {run["id"]: ends_by_itself(run) for run in runs}
    stages = [stage for run in runs for stage in server.stage_runs(run["id"])]
    assert {stage["state"]["name"] for stage in stages} == {"Completed"}
    count(runs=len(runs))


def test_a_run_that_is_cancelled_while_nobody_is_left_to_end_it_is_set_to_cancelled(server: Service) -> None:
    flow = server.deployment("nightly")["flow_id"]
    run = server.post("flow_runs/", {"flow_id": flow, "state": {"type": "RUNNING"}})["id"]  # nobody runs it
    server.post(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}, "force": True})
    assert server.ended(run, 400) == "CANCELLED"
    assert "Nobody was left" in server.run(run)["state"]["message"]
