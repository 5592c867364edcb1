"""prefect.yaml against the flows it names."""

import importlib
import json
import re
from pathlib import Path

import yaml
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from processes import loaded_by

from flows.demo import SETTINGS
from less_core.settings.file import load_settings

PROJECT = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())


def flow_of(deployment: dict) -> Flow:
    module, _, name = deployment["entrypoint"].partition(":")
    return getattr(importlib.import_module(module), name)


def filled(deployment: dict) -> dict:
    """Return what a deployment's form is filled with."""
    (step,) = deployment["build"]
    return step["flows.server.forms.keep_parameters"]["parameters"]


def test_every_form_is_filled_with_what_its_flow_takes() -> None:
    assert PROJECT["deployments"]
    for deployment in PROJECT["deployments"]:
        flow_of(deployment).validate_parameters(filled(deployment))


def test_every_parameter_of_a_form_is_kept_when_it_is_deployed_again() -> None:
    for deployment in PROJECT["deployments"]:
        kept = {key: f"{{{{ form.{key} }}}}" for key in parameter_schema(flow_of(deployment)).properties}
        assert deployment["parameters"] == kept
        (step,) = deployment["build"]
        inputs = step["flows.server.forms.keep_parameters"]
        assert (inputs["entrypoint"], inputs["deployment"]) == (deployment["entrypoint"], deployment["name"])


def test_no_deployment_has_a_schedule_that_deploying_again_could_reset() -> None:
    assert not [deployment["name"] for deployment in PROJECT["deployments"] if deployment.get("schedules")]


def test_nothing_selects_by_a_default_selection() -> None:
    (reselect,) = [d for d in PROJECT["deployments"] if d["name"] == "reselect"]
    assert "selection" not in filled(reselect)


def test_no_text_of_a_form_holds_what_a_page_takes_for_a_tag() -> None:
    """Prefect's V1 UI shows `results/<name>` as `results/`."""
    for deployment in PROJECT["deployments"]:
        schema = json.dumps(parameter_schema(flow_of(deployment)).model_dump_for_openapi())
        for text in (deployment["description"], schema):
            assert not re.findall(r"<[A-Za-z/][^>]*>", text)


def test_forms_refuse_a_name_that_the_settings_refuse() -> None:
    for deployment in PROJECT["deployments"]:
        if deployment["name"] in ("select", "quick-select"):
            schema = parameter_schema(flow_of(deployment)).model_dump_for_openapi()
            named = schema["definitions"]["SelectSettings"] if deployment["name"] == "select" else schema
            assert re.match(named["properties"]["name"]["pattern"], "maths-1")
            assert not re.match(named["properties"]["name"]["pattern"], "../maths")


def test_errors_of_quick_select_name_what_its_form_has() -> None:
    from flows.quick_select import FEWER, in_this_form

    assert in_this_form("model.path: expected a folder.") == "model: expected a folder."
    assert in_this_form("features.max_length: expected more.") == f"features.max_length: expected more. {FEWER}"


def test_flows_are_loaded_without_torch() -> None:
    """Prefect loads them to deploy, to schedule and to cancel."""
    modules = sorted({deployment["entrypoint"].partition(":")[0] for deployment in PROJECT["deployments"]})
    assert not loaded_by(f"import {', '.join(modules)}") & {"torch", "transformers", "datasets"}


def test_the_forms_defaults_are_the_demo() -> None:
    (select,) = [d for d in PROJECT["deployments"] if d["name"] == "select"]
    assert flow_of(select).validate_parameters(filled(select))["config"] == load_settings(SETTINGS)
