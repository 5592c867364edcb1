"""`less-flow serve` and the Prefect UI, in a real browser."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
PATIENCE = 180  # seconds for anything that happens

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")]


def wait_for(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    pytest.fail(f"waited {seconds} s in vain")


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def served(make_settings, tmp_path, port: int) -> Iterator[str]:
    """The address of a served project whose deployment selects with a tiny model."""
    project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    (select,) = [d for d in project["deployments"] if d["name"] == "select"]
    select["parameters"] = {"config": make_settings(name="browser").model_dump(mode="json")}
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(project | {"deployments": [select]}))
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "3",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("PREFECT_API_URL", None)
    with (tmp_path / "serve.log").open("wb") as log:
        serve = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "serve", "--port", str(port)], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
        try:
            wait_for(lambda: serve.poll() is not None or b"Worker 'less-worker' started" in (tmp_path / "serve.log").read_bytes())
            assert serve.poll() is None, (tmp_path / "serve.log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            serve.send_signal(signal.SIGTERM)
            serve.wait(60)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/api/health")  # the server ended with it


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


def runs(base: str) -> list[dict[str, Any]]:
    found = httpx.post(
        f"{base}/api/flow_runs/filter", json={"flows": {"name": {"any_": ["select-data"]}}, "sort": "EXPECTED_START_TIME_DESC"}
    ).json()
    return [run for run in found if not run["auto_scheduled"]]


def trigger(page: Page, base: str) -> str:
    """Press Run on the deployment's page, submit the form as it is, wait for the end; return the run's id."""
    before = {run["id"] for run in runs(base)}
    page.goto(f"{base}/deployments")
    page.get_by_text("select", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).first.click()
    page.get_by_text("Custom run").first.click()
    page.get_by_text("Names the run and the folder of its results.").wait_for()
    page.get_by_role("button", name="Submit").click()
    (run,) = wait_for(lambda: [r for r in runs(base) if r["id"] not in before and r["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED")])
    assert run["state"]["type"] == "COMPLETED"
    return str(run["id"])


def stage(base: str, run: str, name: str) -> str:
    """Return the id of a run's stage."""
    body = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}, "name": {"any_": [name]}}}
    return str(httpx.post(f"{base}/api/flow_runs/filter", json=body).json()[0]["id"])


def test_a_run_from_the_browser_completes_shows_its_stages_and_finds_its_shards_the_second_time(served: str, page: Page) -> None:
    first = trigger(page, served)
    page.goto(f"{served}/runs/flow-run/{first}")
    page.get_by_text("Subflow Runs", exact=True).click()
    for name in ("prepare", "warmup", "target features", "pool features", "influence", "selection and report"):
        page.get_by_text(name, exact=True).first.wait_for()
    page.goto(f"{served}/runs/flow-run/{stage(served, first, 'selection and report')}")
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("browser-report").first.wait_for()

    second = trigger(page, served)
    page.goto(f"{served}/runs/flow-run/{stage(served, second, 'pool features')}")
    page.get_by_text("Task Runs", exact=True).click()
    page.get_by_text("pool features ckpt 2/2 · shard 4/4").first.wait_for()
    assert page.get_by_text("Cached", exact=True).count() >= 8


def test_a_schedule_makes_runs(served: str) -> None:
    """Later releases of SQLAlchemy make none, silently; later ones of FastAPI let no server start."""
    (deployment,) = httpx.post(f"{served}/api/deployments/filter", json={}).json()
    schedule = [{"active": True, "schedule": {"cron": "0 3 * * *", "timezone": "UTC"}}]
    httpx.post(f"{served}/api/deployments/{deployment['id']}/schedules", json=schedule).raise_for_status()
    body = {"deployments": {"id": {"any_": [deployment["id"]]}}}
    scheduled = wait_for(lambda: [r for r in httpx.post(f"{served}/api/flow_runs/filter", json=body).json() if r["auto_scheduled"]])
    assert all(run["state"]["type"] == "SCHEDULED" and "T03:00:00" in run["expected_start_time"] for run in scheduled)
    assert json.dumps(scheduled[0]["parameters"]).count("browser") == 1
