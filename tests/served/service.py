"""`less-flow serve` in a folder of its own, and what tests ask of it."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds for anything that happens
V2, V1 = "/v2", ""  # where the pages of Prefect's two UIs begin; `/` leads to V2
HEIGHT = 1000  # pixels of the browser's window
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def wait_for(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail(f"waited {seconds} s in vain")


def press_until(done: Callable[[], Any], press: Callable[[], Any], every: float = 20) -> Any:
    """Press until something comes of it, and return that: a page that is not ready, or a server whose SQLite is busy, loses a press.

    Args:
        done: Looks whether something came of it.
        press: Done at once, and again after so many seconds without effect.
        every: Seconds between two presses.
    """
    press()
    last = time.monotonic()

    def look() -> Any:
        nonlocal last
        found = done()
        if not found and time.monotonic() > last + every:
            press()
            last = time.monotonic()
        return found

    return wait_for(look)


def picture(page: Any, name: str) -> None:
    """Keep a page as a picture in the folder that the environment variable SCREENSHOTS names, if it names one."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.wait_for_timeout(1500)  # for what still moves
        page.screenshot(path=f"{folder}/{name}.png")


@dataclass
class Service:
    """A server, a worker and their deployments."""

    folder: Path
    base: str
    process: subprocess.Popen[bytes]
    results: str
    known: set[int] = field(default_factory=set)

    def post(self, path: str, body: Any = None) -> Any:
        """Ask the server; again where it answers 503, as SQLite lets one writer in at a time."""
        for _ in range(PATIENCE):
            answer = httpx.post(f"{self.base}/api/{path}", json=body if body is not None else {}, timeout=30)
            if answer.status_code != 503:
                break
            time.sleep(1)
        return answer.raise_for_status().json()

    def change(self, path: str, body: dict[str, Any]) -> None:
        """Change something on the server; asked again where it answers 503, as SQLite lets one writer in at a time."""
        wait_for(lambda: httpx.patch(f"{self.base}/api/{path}", json=body, timeout=30).raise_for_status())

    def deployment(self, name: str) -> dict[str, Any]:
        (found,) = [d for d in self.post("deployments/filter") if d["name"] == name]
        return found

    def start(self, deployment: str, parameters: dict[str, Any] | None = None) -> str:
        """Start a run of a deployment; return its id."""
        # Asked again where it answers too late; the key makes that one run all the same.
        body = {"parameters": parameters or {}, "state": {"type": "SCHEDULED"}, "idempotency_key": str(uuid.uuid4())}
        return str(wait_for(lambda: self.post(f"deployments/{self.deployment(deployment)['id']}/create_flow_run", body)["id"]))

    def start_at_once(self, deployment: str, parameters: Sequence[dict[str, Any]]) -> list[str]:
        """Start a run for each, all at the same time; return their ids in that order."""
        with ThreadPoolExecutor(len(parameters)) as threads:
            return list(threads.map(partial(self.start, deployment), parameters))

    def preset(self, deployment: str, parameters: dict[str, Any]) -> None:
        """Give a deployment other parameters to start with."""
        self.change(f"deployments/{self.deployment(deployment)['id']}", {"parameters": parameters})

    def make_it_tick(self, deployment: str, seconds: int) -> str:
        """Switch a deployment's schedule on and have it tick every few seconds, as a bare PATCH does; return the schedule's address."""
        found = self.deployment(deployment)
        (schedule,) = found["schedules"]
        address = f"deployments/{found['id']}/schedules/{schedule['id']}"

        def set_times() -> None:
            every = {"interval": seconds, "anchor_date": datetime.now(UTC).isoformat(), "timezone": "UTC"}
            self.change(address, {"active": True, "schedule": every})

        def ticks() -> bool:
            soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
            return any(run["auto_scheduled"] and run["expected_start_time"] < soon for run in self.runs(deployment)[:3])

        # Again where the scheduler had just made runs of the old times: it makes no more while there are some.
        press_until(ticks, set_times)
        return address

    def limit(self, queue: str, runs: int) -> None:
        """Let so many runs of a queue of our pool be at work at a time."""
        self.change(f"work_pools/less/queues/{queue}", {"concurrency_limit": runs})

    def run(self, run: str) -> dict[str, Any]:
        """Return what the server knows of a run."""
        found: dict[str, Any] = httpx.get(f"{self.base}/api/flow_runs/{run}", timeout=30).raise_for_status().json()
        return found

    def state(self, run: str) -> str:
        return str(self.run(run)["state"]["type"])

    def ended(self, run: str, seconds: float = PATIENCE) -> str:
        """Wait until a run has ended; return how."""
        return str(wait_for(lambda: (state := self.state(run)) in ENDED and state, seconds))

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        body = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_DESC"}
        found: list[dict[str, Any]] = self.post("flow_runs/filter", body)
        return found

    def logs(self, run: str, level: int = 0) -> list[str]:
        """Return the lines of a run's log from a level on, its stages' and tasks' among them."""
        ids = [run, *(stage["id"] for stage in self.stage_runs(run))]
        body = {"logs": {"flow_run_id": {"any_": ids}, "level": {"ge_": level}}}
        return [line["message"] for line in self.post("logs/filter", body)]

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        """Return the artifacts on a run's own page by key."""
        found = self.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {artifact["key"]: artifact for artifact in found}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of less-flow against this service."""
        environment = service_environment(self.folder) | {"PREFECT_API_URL": f"{self.base}/api", "COLUMNS": "300"}
        command = [sys.executable, "-m", "flows.cli.main", *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def stage_runs(self, run: str) -> list[dict[str, Any]]:
        """Return a run's stages."""
        found: list[dict[str, Any]] = self.post("flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}})
        return found

    def stages(self, run: str) -> dict[str, str]:
        """Return the states of a run's stages by name; on the server a stage's name starts with its selection's."""
        return {stage["name"].rpartition(" · ")[2]: stage["state"]["type"] for stage in self.stage_runs(run)}

    def stage(self, run: str, name: str) -> str:
        """Return the id of a run's stage."""
        body = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}, "name": {"like_": f" · {name}"}}}
        return str(self.post("flow_runs/filter", body)[0]["id"])

    def processes(self, part: str) -> list[psutil.Process]:
        """Return the processes of this service whose command line has a part; they know it by its folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            try:
                if part in " ".join(process.info["cmdline"] or ()) and process.environ().get("PREFECT_HOME") == str(self.folder / "home"):
                    found.append(process)
            except psutil.Error:  # it ended while we looked
                continue
        return found

    def engines(self) -> list[psutil.Process]:
        """Return the processes that run flows, and all that they started."""
        engines = self.processes("prefect.engine")
        return [process for engine in engines for process in (engine, *engine.children(recursive=True))]


def service_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a service in a folder, and of commands that are used with it."""
    environment = os.environ | {
        "PREFECT_HOME": str(folder / "home"),
        "PWD": str(folder),  # as a shell in this folder has it; deployments take the runs' folder from it
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "3",
        "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "3",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("PREFECT_API_URL", None)
    return environment


@contextmanager
def serving(folder: Path, deployments: Sequence[dict[str, Any]]) -> Iterator[Service]:
    """Serve deployments from a folder until the block ends, and see that nothing of it stays."""
    port, results_port = free_ports()
    project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prefect.yaml").write_text(yaml.safe_dump(project | {"deployments": list(deployments)}))
    if not (folder / "deployments").exists():
        (folder / "deployments").symlink_to(ROOT / "deployments")
    environment = service_environment(folder)
    log = folder / "serve.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "flows.cli.main", "serve", "--port", str(port), "--results-port", str(results_port)]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        service = Service(folder, f"http://127.0.0.1:{port}", process, f"http://127.0.0.1:{results_port}")
        try:
            wait_for(lambda: service.process.poll() is not None or b"ready: " in log.read_bytes())
            assert service.process.poll() is None, log.read_text()
            yield service
        finally:
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(60)
    assert not service.processes("")  # server, worker, results and runs ended with it


def free_ports() -> list[int]:
    """Return two ports that nothing listens on."""
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], other.getsockname()[1]]


def deployment(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a deployment of prefect.yaml whose form is filled with other parameters."""
    (found,) = [d for d in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"] if d["name"] == name]
    (step,) = found["build"]
    ((function, inputs),) = step.items()
    return found | {"build": [{function: inputs | {"parameters": parameters}}]}
