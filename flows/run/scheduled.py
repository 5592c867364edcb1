"""Runs that a schedule starts: each belongs to a selection, and none of them selects by a form's defaults.

A schedule's own parameters can be lost: Prefect's V2 UI and `prefect deployment schedule resume` empty them when they switch a schedule on
(3.8.8 and 3.9.1). What `less-flow schedule` makes has none that could be lost: its deployment is the selection's.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from prefect import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.context import get_run_context

from flows.server.names import SELECTION_TAG
from less_core.errors import ConfigError

LAST_RUN = "\n\nLast run, "  # begins what a deployment's description says of it

logger = logging.getLogger(__name__)


def refuse_form_defaults() -> None:
    """Refuse a scheduled run that would select by what the form of its deployment is filled with.

    Raises:
        ConfigError: The run's schedule says nothing of its own, and its deployment is no selection's.
    """
    run = get_run_context().flow_run  # type: ignore[union-attr]
    if run is None or not run.auto_scheduled or run.deployment_id is None:
        return
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment(run.deployment_id)
    if SELECTION_TAG not in deployment.tags and not _own_parameters(run, deployment):
        do = "Make it with `less-flow schedule NAME --cron ...`, or give the schedule its parameters again, and switch this one off."
        raise ConfigError(f"schedule of {deployment.name}", "parameters of its own", "none: they were lost or never given", do)


def _own_parameters(run: FlowRun, deployment: DeploymentResponse) -> dict[str, Any]:
    """Return what the schedule of a run says beyond its deployment: Prefect writes the schedule's id into the key of the run."""
    _, _, rest = (run.idempotency_key or "").partition(f"scheduled {deployment.id} ")
    schedule = next((found for found in deployment.schedules if rest.startswith(str(found.id))), None)
    if schedule is None:  # it was deleted since
        return {key: value for key, value in run.parameters.items() if deployment.parameters.get(key) != value}
    return schedule.parameters


def tell_selection(state: State) -> None:
    """Write what came of this run into the description of its selection's deployment, beside its next and its last runs.

    Of other deployments nothing is written, and a server that does not answer changes nothing.
    """
    run = get_run_context().flow_run  # type: ignore[union-attr]
    if run is None or run.deployment_id is None:
        return
    try:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment(run.deployment_id)
            if SELECTION_TAG in deployment.tags:
                told = f"{LAST_RUN}{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {state.name}. {state.message or ''}".rstrip()
                about = (deployment.description or "").partition(LAST_RUN)[0]
                client.update_deployment(deployment.id, DeploymentUpdate(description=about + told))
    except Exception as error:  # whatever the client raises
        logger.warning("the deployment of this run cannot say what came of it: %s", error)
