"""prefect.yaml against the flows it names."""

import importlib
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


def test_the_forms_defaults_are_the_demo() -> None:
    (select,) = [d for d in PROJECT["deployments"] if d["name"] == "select"]
    assert flow_of(select).validate_parameters(select["parameters"])["config"] == load_settings(SETTINGS)


def test_project_file_names_the_installed_prefect() -> None:
    import prefect

    assert PROJECT["prefect-version"] == prefect.__version__
