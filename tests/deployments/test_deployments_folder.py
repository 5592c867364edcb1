"""Presets, image, compose file and automations of deployments/ against what they configure."""

import asyncio
import importlib
import json
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import prefect
import pytest
import yaml
from prefect import Flow
from prefect.events.schemas.automations import AutomationCore
from prefect.events.schemas.events import Event
from prefect.server.events.actions import SendNotification
from prefect.server.events.schemas.automations import AutomationCore as ServerAutomation
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import Event as ServerEvent
from prefect.server.utilities.user_templates import render_user_template
from samples import conversation, write_jsonl

from flows.cli.plan import print_plan
from less_core.settings.file import load_settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deployments"
PRESETS = ("laptop", "one-gpu", "several-gpus", "ray", "dask")
CLUSTERS = ("ray", "dask")
POOLS = {"docker": "prefect-docker", "kubernetes": "prefect-kubernetes"}
AUTOMATIONS = ("automations", "crash-detection", "cancel-detection")
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
COLLECTIONS = Path(prefect.__file__).parent / "server/api/collections_data/views/aggregate-worker-metadata.json"  # what servers offer
FLOWS = ("select-data", "quick-select", "reselect", "compare", "sweep", "agree")


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_plans_once_its_data_stands_where_it_says(preset: str, tmp_path: Path, tiny_model: Path, capsys: Any) -> None:
    write_jsonl(tmp_path / "train/mix.jsonl", [conversation(i) for i in range(30)])
    write_jsonl(tmp_path / "eval/target.jsonl", [conversation(i) for i in range(100, 103)])
    here: dict[str, Any] = {"data_dir": tmp_path, "store": tmp_path / "store", "runs": tmp_path / "runs", "model.path": tiny_model}
    here |= {"execution.device": "cpu", "model.dtype": "float32"}  # half precision is slow on a CPU
    print_plan(load_settings(FOLDER / f"{preset}.yaml", [f"{key}={value}" for key, value in here.items()]))
    plan = capsys.readouterr().out
    assert re.search(r"pool examples.* 30 distinct", plan)
    assert re.search(r"target examples.* 3 ", plan)


@pytest.mark.parametrize("preset", ["several-gpus", *CLUSTERS])
def test_presets_for_one_gpu_and_for_several_compute_the_same_features(preset: str) -> None:
    one, several = (load_settings(FOLDER / f"{name}.yaml") for name in ("one-gpu", preset))
    for part in ("model", "warmup", "features"):
        assert getattr(one, part) == getattr(several, part)


@pytest.mark.parametrize("kind", POOLS)
def test_work_pool_is_the_one_that_prefects_worker_knows_and_its_variables_are_all_there(kind: str) -> None:
    known = json.loads(COLLECTIONS.read_text())[POOLS[kind]][kind]["default_base_job_configuration"]
    pool = json.loads((FOLDER / f"{kind}-pool.json").read_text())
    assert pool["job_configuration"].keys() == known["job_configuration"].keys()
    variables = pool["variables"]["properties"]
    assert known["variables"]["properties"].keys() <= variables.keys()
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(pool["job_configuration"])))
    assert used == variables.keys()
    types = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    defaults = {name: variable for name, variable in variables.items() if "default" in variable}
    assert {"image", "env"} <= defaults.keys()
    assert all(isinstance(variable["default"], types[variable["type"]]) for variable in defaults.values())


def kubernetes(file: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all((FOLDER / file).read_text())}


@pytest.mark.parametrize("engine", CLUSTERS)
def test_cluster_on_kubernetes_is_reached_by_the_name_that_it_tells(engine: str) -> None:
    text, found = (FOLDER / f"{engine}-cluster.yaml").read_text(), kubernetes(f"{engine}-cluster.yaml")
    ((host, port),) = re.findall(r'cluster: "\w+://([\w-]+):(\d+)"', text)
    service = found["Service", host]["spec"]
    assert int(port) in {entry["port"] for entry in service["ports"]}
    deployments = {name: one["spec"] for (kind, name), one in found.items() if kind == "Deployment"}
    labels = {name: spec["template"]["metadata"]["labels"] for name, spec in deployments.items()}
    assert all(spec["selector"]["matchLabels"] == labels[name] for name, spec in deployments.items())
    assert service["selector"] in labels.values()
    head, worker = (" ".join(deployments[name]["template"]["spec"]["containers"][0]["args"]) for name in sorted(deployments))
    assert f"={port}" in head
    assert host in worker
    (script,) = entry_points(group="console_scripts", name=engine)
    assert all(args.startswith(f"{script.name} ") for args in (head, worker))


@pytest.mark.parametrize("engine", CLUSTERS)
def test_workers_of_clusters_have_a_gpu_and_the_folders_of_the_work_pool(engine: str) -> None:
    pool = json.loads((FOLDER / "kubernetes-pool.json").read_text())
    (job,) = pool["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"]
    spec = kubernetes(f"{engine}-cluster.yaml")["Deployment", f"less-{engine}-worker"]["spec"]["template"]["spec"]
    (worker,) = spec["containers"]
    assert [mount for mount in worker["volumeMounts"] if mount["name"] == "less"] == job["volumeMounts"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "--num-gpus=1" in worker["args"] or "--resources=GPU=1" in worker["args"]
    assert {volume["name"] for volume in spec["volumes"]} == {mount["name"] for mount in worker["volumeMounts"]}
    folders = {mount["mountPath"] for mount in job["volumeMounts"]}
    (workdir,) = re.findall(r"^WORKDIR (.+)$", DOCKERFILE, re.MULTILINE)
    assert {f"{workdir}/{folder}" for folder in ("data", "store", "runs")} < folders


def automation(name: str) -> dict[str, Any]:
    found = [data for file in AUTOMATIONS for data in automations(file) if data["name"] == name]
    assert len(found) == 1
    return dict(found[0])


def automations(file: str) -> list[dict[str, Any]]:
    data = yaml.safe_load((FOLDER / f"{file}.yaml").read_text())
    return list(data["automations"]) if "automations" in data else [data]  # both are what `prefect automation create` takes


def trigger(name: str) -> EventTrigger:
    found = ServerAutomation.model_validate(automation(name)).trigger
    assert isinstance(found, EventTrigger)
    return found


def fires_on(trigger: EventTrigger, event: Event) -> bool:
    """Tell whether the server would count an event for a trigger."""
    received = ServerEvent.model_validate(event.model_dump(mode="json")).receive()
    return trigger.covers(received) and trigger.expects(received.event)


def of_run(flow: str, what: str) -> Event:
    """What the server tells of a run that changes its state, and a run that sends a heartbeat."""
    return Event(
        event=f"prefect.flow-run.{what}",
        resource={"prefect.resource.id": "prefect.flow-run.0a", "prefect.resource.name": "maths", "prefect.state-name": what},
        related=[
            {"prefect.resource.id": "prefect.flow.0b", "prefect.resource.role": "flow", "prefect.resource.name": flow},
            {"prefect.resource.id": "prefect.tag.less", "prefect.resource.role": "tag"},
        ],
    )


def of_selection(event: str) -> Event:
    return Event(
        event=event,
        resource={"prefect.resource.id": "less.selection.maths", "prefect.resource.name": "maths"},
        related=[{"prefect.resource.id": "prefect.flow-run.0a", "prefect.resource.role": "flow-run"}],
        payload={"version": "20260101T000000Z-0a1b", "target": "gsm8k", "new": 0.5, "summary": "gsm8k: 20 in, 20 out of 40"},
    )


@pytest.mark.parametrize("file", AUTOMATIONS)
def test_automations_are_what_client_and_server_of_prefect_take(file: str) -> None:
    for data in automations(file):
        AutomationCore.model_validate(data)
        ServerAutomation.model_validate(data)
        unknown = data["trigger"].keys() - EventTrigger.model_fields.keys()
        assert not unknown  # the schemas ignore a key that is misspelt


@pytest.mark.parametrize(
    ("flow", "what", "told"),
    [
        ("select-data", "Failed", True),
        ("reselect", "Crashed", True),
        ("quick-select", "Crashed", True),
        ("reselect", "TimedOut", True),
        ("select-data", "Completed", False),
        ("select-data", "Cancelled", False),
        ("features", "Failed", False),  # a stage: its run is told of
        ("elsewhere", "Failed", False),
    ],
)
def test_failed_runs_are_told_of_and_their_stages_are_not(flow: str, what: str, told: bool) -> None:
    assert fires_on(trigger("less-run-failed"), of_run(flow, what)) is told


def test_a_changed_selection_is_told_of_and_other_events_of_it_are_not() -> None:
    assert fires_on(trigger("less-selection-changed"), of_selection("less.selection.changed"))
    assert not fires_on(trigger("less-selection-changed"), of_selection("less.selection.published"))
    assert not fires_on(trigger("less-selection-changed"), of_selection("less.stage.finished"))
    assert not fires_on(trigger("less-selection-changed"), of_run("reselect", "less.selection.changed"))


def test_events_that_automations_expect_are_emitted_by_the_flows() -> None:
    source = "".join(path.read_text() for path in (ROOT / "flows").glob("*.py"))
    expected = {event for file in AUTOMATIONS for data in automations(file) for event in data["trigger"]["expect"]}
    ours = {event for event in expected if event.startswith("less.")}
    assert ours
    assert all(f'"{event}"' in source for event in ours)


@pytest.mark.parametrize(
    ("name", "event", "said"),
    [
        ("less-run-failed", of_run("reselect", "Crashed"), "maths: Crashed The run maths ended as Crashed."),
        (
            "less-selection-changed",
            of_selection("less.selection.changed"),
            "maths: the selection for gsm8k changed gsm8k: 20 in, 20 out of 40, in version 20260101T000000Z-0a1b of maths.",
        ),
    ],
)
def test_notifications_say_what_happened(name: str, event: Event, said: str) -> None:
    (action,) = ServerAutomation.model_validate(automation(name)).actions  # the schema also knows the filter `ui_url`
    assert isinstance(action, SendNotification)
    context = {"event": ServerEvent.model_validate(event.model_dump(mode="json")).receive(), "flow_run": None}
    subject, body = (asyncio.run(render_user_template(text, context)) for text in (action.subject, action.body))
    assert f"{subject} {body}".startswith(said)


@pytest.mark.parametrize("name", ["less-crash-detection", "less-cancel-detection"])
def test_runs_are_looked_for_among_all_flows_of_the_project_and_no_others(name: str) -> None:
    modules = [importlib.import_module(f"flows.{path.stem}") for path in (ROOT / "flows").glob("*.py")]
    ours = {value.name for module in modules for value in vars(module).values() if isinstance(value, Flow)}
    assert set(FLOWS) < ours
    assert all(fires_on(trigger(name), of_run(flow, "Completed")) for flow in ours)
    assert not fires_on(trigger(name), of_run("elsewhere", "Completed"))


def test_dead_runs_are_those_whose_heartbeats_stop() -> None:
    crash = trigger("less-crash-detection")
    assert crash.after == {"prefect.flow-run.heartbeat"}
    assert fires_on(crash, of_run("reselect", "heartbeat"))


def test_cancel_detection_begins_with_a_cancellation_alone_and_ends_with_every_other_state() -> None:
    """A heartbeat would make it wait for runs that nobody cancels, and set them to Cancelled after they ended."""
    cancel = trigger("less-cancel-detection")
    assert cancel.after == {"prefect.flow-run.Cancelling"}
    assert not fires_on(cancel, of_run("reselect", "Cancelling"))
    assert not fires_on(cancel, of_run("reselect", "heartbeat"))
    for state in ("Scheduled", "Pending", "Running", "AwaitingRetry", "Retrying", "Resuming", "Late"):
        assert fires_on(cancel, of_run("reselect", state)), state


@pytest.mark.parametrize("name", ["less-crash-detection", "less-cancel-detection"])
def test_a_run_that_ended_is_not_taken_for_dead_whatever_its_last_state_is_called(name: str) -> None:
    assert 'name="Unchanged"' in (ROOT / "flows" / "reselect.py").read_text()  # the one state with a name of ours
    for state in {"Completed", "Failed", "TimedOut", "Cancelled", "Crashed", "Suspended", "Unchanged"}:
        assert fires_on(trigger(name), of_run("reselect", state)), state


def test_heartbeats_come_three_times_in_the_time_after_which_a_run_is_dead() -> None:
    within = trigger("less-crash-detection").within.total_seconds()
    beats = [int(found) for found in re.findall(r"PREFECT_FLOWS_HEARTBEAT_FREQUENCY=(\d+)", DOCKERFILE)]
    beats.append(COMPOSE["services"]["worker"]["environment"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert len(beats) == 2
    assert all(3 * beat <= within for beat in beats)


def test_image_is_of_the_prefect_that_is_pinned_and_copies_only_what_is_there() -> None:
    (pinned,) = re.findall(r"^prefect==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert f"FROM prefecthq/prefect:{pinned}-python3.11\n" in DOCKERFILE
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [source for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]]
    assert {"flows", "tasks", "less_core", "deployments", "prefect.yaml", "constraints.txt"} <= set(copied)
    assert all((ROOT / source).exists() for source in copied)
    assert set(copied) == let_through


def test_compose_waits_for_what_is_healthy_and_binds_to_loopback() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_completed_successfully" or "healthcheck" in services[other]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    named = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", []) if volume[0] not in "$./"}
    assert named == COMPOSE["volumes"].keys()


def test_compose_starts_nothing_without_a_password() -> None:
    environments = [service["environment"] for service in COMPOSE["services"].values()]
    secrets = {key: value for env in environments for key, value in env.items() if key.endswith(("AUTH_STRING", "PASSWORD"))}
    assert secrets.keys() == {
        "PREFECT_API_AUTH_STRING",
        "PREFECT_SERVER_API_AUTH_STRING",
        "POSTGRES_PASSWORD",
        "PREFECT_SERVER_DATABASE_PASSWORD",
    }
    assert all(re.fullmatch(r"\$\{\w+:\?.+\}", value) for value in secrets.values())
    assert secrets["PREFECT_API_AUTH_STRING"] == secrets["PREFECT_SERVER_API_AUTH_STRING"]


def test_readme_names_only_files_that_are_there() -> None:
    named = set(re.findall(r"deployments/[\w.-]+\w", (FOLDER / "README.md").read_text()))
    assert named
    assert all((ROOT / name).exists() for name in named)
