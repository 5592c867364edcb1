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
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds for anything that happens
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


@dataclass
class Service:
    """A server, a worker and their deployments."""

    folder: Path
    base: str
    process: subprocess.Popen[bytes]
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

    def stages(self, run: str) -> dict[str, str]:
        """Return the states of a run's stages by name."""
        body = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}
        return {stage["name"]: stage["state"]["type"] for stage in self.post("flow_runs/filter", body)}

    def stage(self, run: str, name: str) -> str:
        """Return the id of a run's stage."""
        body = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}, "name": {"any_": [name]}}}
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


@contextmanager
def serving(folder: Path, deployments: Sequence[dict[str, Any]]) -> Iterator[Service]:
    """Serve deployments from a folder until the block ends, and see that nothing of it stays."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prefect.yaml").write_text(yaml.safe_dump(project | {"deployments": list(deployments)}))
    (folder / "deployments").symlink_to(ROOT / "deployments")
    environment = os.environ | {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "3",
        "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "3",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("PREFECT_API_URL", None)
    log = folder / "serve.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "flows.cli", "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        service = Service(folder, f"http://127.0.0.1:{port}", process)
        try:
            wait_for(lambda: service.process.poll() is not None or b"Worker 'less-worker' started" in log.read_bytes())
            assert service.process.poll() is None, log.read_text()
            yield service
        finally:
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(60)
    assert not service.processes("prefect")  # server, worker and runs ended with it


def deployment(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a deployment of prefect.yaml with other parameters, those of its schedules left to them."""
    (found,) = [d for d in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"] if d["name"] == name]
    return found | {"parameters": parameters}
