"""Selections that are made again on a schedule: what is selected, and when, stays as a person left it."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page
from samples import conversation, write_jsonl
from service import ENDED, V1, V2, Service, press_until, service_environment, wait_for

from less_core.settings.select import SelectSettings

pytestmark = pytest.mark.slow


@pytest.fixture
def config(make_settings: Callable[..., SelectSettings], request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A configuration file of a selection named as the test, which takes the method that computes nothing."""
    name = f"nightly-{abs(hash(request.node.name)) % 10_000}"
    settings = make_settings(name=name, method="random")
    file = tmp_path / f"{name}.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    return file


def scheduled(service: Service, config: Path) -> dict[str, Any]:
    """Put a selection on a schedule by the command; return its deployment."""
    done = service.command("schedule", str(config), "--cron", "0 3 * * *", "--timezone", "Europe/Berlin")
    assert done.returncode == 0, done.stderr
    assert config.stem in done.stdout
    assert "0 3 * * * Europe/Berlin (on)" in done.stdout
    return service.deployment(config.stem)


def schedule_of(service: Service, name: str) -> dict[str, Any]:
    (found,) = service.deployment(name)["schedules"]
    return found


def press_switch(service: Service, page: Page, name: str, *, on: bool) -> None:
    """Set the switch of a selection's schedule on the page that shows it."""
    press_until(lambda: schedule_of(service, name)["active"] is on, page.get_by_role("switch").first.click)


def tick(service: Service, name: str) -> dict[str, Any]:
    """Have a selection's schedule tick now; return the run that it made, ended."""
    known = {run["id"] for run in service.runs(name)}
    times = schedule_of(service, name)["schedule"]
    address = service.make_it_tick(name, 12)

    def due() -> list[dict[str, Any]]:
        """Return the runs since then that were not skipped because one was still at work."""
        runs = [run for run in service.runs(name) if run["id"] not in known]
        return [run for run in runs if run["state"]["type"] in ENDED and run["state"]["type"] != "CANCELLED"]

    run = wait_for(due)[-1]
    service.change(address, {"active": False, "schedule": times})
    wait_for(lambda: not [run for run in service.runs(name) if run["state"]["type"] not in (*ENDED, "SCHEDULED")])
    return run


def test_a_selection_stays_what_it_was_when_its_schedule_is_switched_by_whatever_hand(service: Service, page: Page, config: Path) -> None:
    name = config.stem
    deployment = scheduled(service, config)
    assert deployment["parameters"]["selection"] == str(config)
    assert deployment["parameters"]["runs"] == str(service.folder / "runs")
    # The switch of the UI that `/` leads to, and Prefect's own command, empty a schedule's parameters; the other UI's does not.
    for at in (V2, V1):
        page.goto(f"{service.base}{at}/deployments/deployment/{deployment['id']}")
        press_switch(service, page, name, on=False)
        press_switch(service, page, name, on=True)
    page.goto("about:blank")
    environment = service_environment(service.folder) | {"PREFECT_API_URL": f"{service.base}/api"}
    for switched in ("pause", "resume"):
        command = ["deployment", "schedule", switched, f"reselect/{name}", schedule_of(service, name)["id"]]
        subprocess.run([sys.executable, "-m", "prefect", *command], env=environment, check=True, capture_output=True)
    assert schedule_of(service, name)["active"]
    run = tick(service, name)
    assert run["parameters"]["selection"] == str(config)
    assert run["state"]["type"] == "COMPLETED"
    assert run["name"] == name
    assert (Path(yaml.safe_load(config.read_text())["runs"]) / name / "selected" / "t.jsonl").is_file()
    listed = service.command("schedule")
    assert "examples for t" in listed.stdout  # what came of the last run
    assert "examples for t" in service.deployment(name)["description"]


def test_times_and_switches_of_a_person_are_there_after_everything_is_deployed_again(service: Service, config: Path) -> None:
    deployment = scheduled(service, config)
    address = f"deployments/{deployment['id']}/schedules/{schedule_of(service, config.stem)['id']}"
    service.change(address, {"active": False, "schedule": {"cron": "30 1 * * 1", "timezone": "Asia/Tokyo"}})
    service.change(f"deployments/{deployment['id']}", {"parameters": deployment["parameters"] | {"tell_above": 0.5}})
    service.preset("quick-select", {"name": "mine", "pool": "a.jsonl", "target": "t.jsonl", "model": "m", "share": 0.25})
    before = service.deployment(config.stem), service.deployment("quick-select")
    environment = service_environment(service.folder) | {"PREFECT_API_URL": f"{service.base}/api"}
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    subprocess.run(command, cwd=service.folder, env=environment, check=True, capture_output=True)
    kept = ("parameters", "schedules", "paused", "description")
    for old, new in zip(before, (service.deployment(config.stem), service.deployment("quick-select")), strict=True):
        assert {key: new[key] for key in kept} == {key: old[key] for key in kept}
    assert schedule_of(service, config.stem)["schedule"]["cron"] == "30 1 * * 1"


def test_tick_of_a_form_whose_schedule_lost_its_parameters_selects_nothing_and_says_what_to_do(
    service: Service, settings_of_a_form
) -> None:
    service.preset("select", {"config": settings_of_a_form.model_dump(mode="json")})
    form = service.deployment("select")
    every = {"interval": 5, "anchor_date": datetime.now(UTC).isoformat(), "timezone": "UTC"}
    (made,) = wait_for(lambda: service.post(f"deployments/{form['id']}/schedules", [{"active": True, "schedule": every}]))
    run = wait_for(lambda: [run for run in service.runs("select") if run["auto_scheduled"] and run["state"]["type"] in ENDED])[-1]
    service.preset("select", {"config": {}})  # what waits for its start now differs from the form, and is refused all the same
    service.change(f"deployments/{form['id']}/schedules/{made['id']}", {"active": False})
    wait_for(lambda: not [run for run in service.runs("select") if run["state"]["type"] not in (*ENDED, "SCHEDULED")])
    assert not [run for run in service.runs("select") if run["auto_scheduled"] and run["state"]["type"] == "COMPLETED"]
    assert run["state"]["type"] == "FAILED"
    assert "expected parameters of its own" in run["state"]["message"]
    assert "less-flow schedule NAME" in run["state"]["message"]
    assert not Path(settings_of_a_form.runs, settings_of_a_form.name).exists()


@pytest.fixture
def settings_of_a_form(make_settings: Callable[..., SelectSettings]) -> SelectSettings:
    return make_settings(name="by-default", method="random")


def test_ticks_that_overlap_do_not_run_at_once(service: Service, make_settings: Callable[..., SelectSettings], tmp_path: Path) -> None:
    """A re-selection that takes longer than its schedule's interval: what comes in the meantime is skipped or waits."""
    write_jsonl(tmp_path / "a.jsonl", [conversation(i) for i in range(20)])
    pools, execution = [{"name": "a", "path": "a.jsonl"}], {"shard_size": 2, "device": "cpu"}
    settings = make_settings(name="ticking", pools=pools, execution=execution)
    config = tmp_path / "ticking.yaml"
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    scheduled(service, config)
    ticks = service.make_it_tick("ticking", 6)
    seen: list[int] = []

    def ran() -> bool:
        states = [run["state"]["type"] for run in service.runs("ticking")]
        seen.append(sum(state in ("RUNNING", "PENDING") for state in states))
        return states.count("COMPLETED") >= 2 and len(states) > 3

    wait_for(ran)
    service.change(ticks, {"active": False})
    # What had come due by then still runs; a service that is stopped in its midst could not say that nothing is left.
    wait_for(lambda: not [run for run in service.runs("ticking") if run["state"]["type"] not in ENDED])
    assert max(seen) == 1
    finished = [run for run in service.runs("ticking") if run["state"]["type"] == "COMPLETED"]
    times = sorted((run["start_time"], run["end_time"]) for run in finished)
    assert all(end <= start for (_, end), (start, _) in pairwise(times))
    assert {run["state"]["name"] for run in finished} == {"Completed", "Unchanged"}


def test_schedule_off_stops_it_and_an_unknown_selection_is_refused_in_one_line(service: Service, config: Path) -> None:
    scheduled(service, config)
    assert "(off)" in service.command("schedule", config.stem, "--off").stdout
    assert not schedule_of(service, config.stem)["active"]
    refused = service.command("schedule", "no-such-selection", "--cron", "0 3 * * *")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "a selection that was made before" in refused.stderr
    wrong = service.command("schedule", str(config), "--cron", "every night")
    assert (wrong.returncode, "five fields" in wrong.stderr) == (2, True)
