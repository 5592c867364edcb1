"""`less-flow serve` from its start to its end, on a home that is new and on one that it had before."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from service import ROOT, Service, deployment, serving

from less_core.settings.select import SelectSettings

pytestmark = pytest.mark.slow

STEPS = ("the server answers", "work pool, queue and deployments are there", "the worker has started", "results are on", "ready: open")
AGREE = deployment("agree", {"selections": ["one", "other"], "runs": "runs"})


def log_of(service: Service) -> str:
    return (service.folder / "serve.log").read_text()


def test_second_start_has_the_same_home_and_tells_each_step_and_its_end_in_its_own_words(
    make_settings: Callable[..., SelectSettings], tmp_path: Path
) -> None:
    config = tmp_path / "maths.yaml"
    config.write_text(yaml.safe_dump(make_settings(name="maths", method="random").model_dump(mode="json")))
    deployments = [AGREE, deployment("reselect", {})]
    with serving(tmp_path, deployments) as service:
        assert service.command("schedule", str(config), "--cron", "0 3 * * *").returncode == 0
        maths = service.deployment("maths")
        changed = {"active": True, "schedule": {"cron": "30 1 * * 1", "timezone": "Asia/Tokyo"}}  # as a person does in the UI
        service.change(f"deployments/{maths['id']}/schedules/{maths['schedules'][0]['id']}", changed)
        (left,) = service.deployment("maths")["schedules"]
        run = service.start("agree")
        pool = service.post("work_pools/filter")[0]["id"]
        assert service.ended(run) == "FAILED"
        service.limit("device", 3)
    with serving(tmp_path, deployments) as service:
        (found,) = service.deployment("maths")["schedules"]
        assert (found["active"], found["schedule"]) == (True, left["schedule"])
        assert found["schedule"]["cron"] == "30 1 * * 1"
        assert service.deployment("maths")["parameters"] == maths["parameters"]
        assert service.state(run) == "FAILED"  # the history is there
        assert service.post("work_pools/filter")[0]["id"] == pool
        queues = {queue["name"]: queue["concurrency_limit"] for queue in service.post("work_queues/filter")}
        assert queues["device"] == 3
        log = log_of(service)
        assert log.splitlines()[0].endswith(f"logs are in {tmp_path / 'home' / 'logs'}")
        assert service.base in log.splitlines()[0]
        places = [log.index(step) for step in STEPS]
        assert places == sorted(places)
        assert not (tmp_path / "demo").exists()  # no model is converted for someone who did not ask
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(60) == 0
        assert "the service has stopped" in log_of(service)
        assert "goes on where it was" not in log_of(service)  # the words of `run`
        assert not list(tmp_path.glob("*/server.json"))


def test_command_is_shown_on_the_service_of_its_folder(make_settings: Callable[..., SelectSettings], tmp_path: Path) -> None:
    folder = tmp_path / "project"
    config = tmp_path / "select.yaml"
    config.write_text(yaml.safe_dump(make_settings(name="found", method="random").model_dump(mode="json")))
    with serving(folder, [AGREE]) as service:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        command = [sys.executable, "-m", "flows.cli.main", "run", str(config)]
        inherited = clean | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "person")}
        done = subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[0] == f"less-flow: shown on {service.base}"
        names = {run["name"]: run["state"]["type"] for run in service.post("flow_runs/filter")}
        assert names["found"] == "COMPLETED"
        assert not list((tmp_path / "person").rglob("prefect.db"))  # no server of its own


def test_deployment_that_is_refused_ends_the_start_with_its_whole_error_and_the_log(tmp_path: Path) -> None:
    broken = AGREE | {"entrypoint": "flows.nothing:agree"}
    with pytest.raises(AssertionError) as error, serving(tmp_path, [broken]):
        pass
    said = str(error.value)
    assert "No module named 'flows.nothing'" in said
    assert "in load_flow_from_entrypoint" in said  # its first lines, too
    assert f"all in {tmp_path / 'home' / 'logs' / 'setup.log'}" in said
    assert not (tmp_path / "home" / "server.json").exists()
