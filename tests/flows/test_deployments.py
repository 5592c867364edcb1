"""prefect.yaml against the flows it names."""

import importlib
import subprocess
import sys
from pathlib import Path

import yaml
from prefect import Flow

from flows.demo import SETTINGS
from less_core.settings_file import load_settings

PROJECT = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())


def flow_of(deployment: dict) -> Flow:
    module, _, name = deployment["entrypoint"].partition(":")
    return getattr(importlib.import_module(module), name)


def test_every_deployment_and_schedule_has_parameters_that_its_flow_takes() -> None:
    assert PROJECT["deployments"]
    for deployment in PROJECT["deployments"]:
        flow = flow_of(deployment)
        for extra in [{}, *(schedule.get("parameters", {}) for schedule in deployment.get("schedules", []))]:
            flow.validate_parameters(deployment["parameters"] | extra)


def test_flows_are_loaded_without_torch() -> None:
    """Prefect loads them to deploy, to schedule and to cancel."""
    modules = sorted({deployment["entrypoint"].partition(":")[0] for deployment in PROJECT["deployments"]})
    code = f"import sys, {', '.join(modules)}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_forms_defaults_are_the_demo() -> None:
    (select,) = [d for d in PROJECT["deployments"] if d["name"] == "select"]
    assert flow_of(select).validate_parameters(select["parameters"])["config"] == load_settings(SETTINGS)


def test_project_file_names_the_installed_prefect() -> None:
    import prefect

    assert PROJECT["prefect-version"] == prefect.__version__
