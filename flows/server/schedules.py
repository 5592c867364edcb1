"""Schedules: a selection that is made again has a deployment of its own, which carries the selection; its schedules carry the time alone.

So neither the UI's switch, which empties a schedule's parameters, nor `prefect deploy --all`, which knows only `prefect.yaml`, can change
what is selected, and the list of deployments reads like a list of selections.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient, SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import (
    ConcurrencyLimitStrategy,
    ConcurrencyOptions,
    DeploymentSchedule,
    FlowRun,
    StateType,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from flows.server.names import FORM, RECENT, SELECTION_TAG, SKIPPED
from less_core.errors import ConfigError
from less_core.settings.file import FILES
from less_core.settings.select import absolute_path
from less_core.storage.previous_settings import find_selection

SLUG = "less-flow"  # of the schedule that the command made; others are a person's
# What a deployment of a selection shares with the form, and gets anew after an upgrade.
SHARED = ("entrypoint", "path", "pull_steps", "parameter_openapi_schema", "work_pool_name", "work_queue_name")
ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)


@dataclass(frozen=True)
class ScheduledSelection:
    """A selection that is made again, and when."""

    name: str
    schedules: list[DeploymentSchedule]
    next_run: datetime | None
    last_run: FlowRun | None


def schedule_selection(
    selection: str, runs: str, overrides: list[str], cron: str, timezone: str, *, rewarm: str = "never", pool_grew_by: float = 0.5
) -> str:
    """Have a selection made again on a schedule; return its name. One that is scheduled already gets these times and settings.

    Args:
        selection: The name of a selection that was made before, or a configuration file.
        runs: Where the results of named selections are.
        overrides: Settings that differ, each ``key.sub=value``.
        cron: When, as five fields.
        timezone: Of the cron line, such as Europe/Berlin.
        rewarm: When the warmup is trained again: never, when_pool_grew_by or always.
        pool_grew_by: The share for ``when_pool_grew_by``.

    Raises:
        ConfigError: There is no such selection, the times cannot be read, or the server has no deployment `reselect`.
    """
    settings = find_selection(selection, runs, overrides)
    name = settings.name
    if name == FORM:
        raise ConfigError("selection", f"a name other than that of the deployment {FORM}", name, "Give the selection another name.")
    when = _cron(cron, timezone)
    again = absolute_path(selection) if selection.endswith(FILES) else selection
    parameters = {
        "selection": again,
        "runs": absolute_path(runs),
        "overrides": overrides,
        "rewarm": rewarm,
        "pool_grew_by": pool_grew_by,
    }
    told = f"Selects {name} again where something changed. Results: {absolute_path(settings.runs)}/{name}"
    with get_client(sync_client=True) as client:
        form = _form(client)
        known = _find(client, name)
        if known is None:
            client.create_deployment(
                form.flow_id,
                name,
                parameters=parameters,
                schedules=[DeploymentScheduleCreate(schedule=when, active=True, slug=SLUG)],
                description=told,
                tags=[*form.tags, SELECTION_TAG],
                enforce_parameter_schema=form.enforce_parameter_schema,
                job_variables=form.job_variables,
                # A tick that finds the last run of the selection still at work is skipped.
                concurrency_limit=1,
                concurrency_options=ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
                **_shared(form),
            )
        else:
            client.update_deployment(known.id, DeploymentUpdate(parameters=parameters, description=told, **_shared(form)))
            ours = next((schedule for schedule in known.schedules if schedule.slug == SLUG), None)
            if ours:
                client.update_deployment_schedule(known.id, ours.id, active=True, schedule=when)
            else:
                client.create_deployment_schedules(known.id, [DeploymentScheduleCreate(schedule=when, active=True, slug=SLUG)])
    return name


def switch_schedules(name: str, *, on: bool) -> int:
    """Switch all schedules of a selection on or off; return how many there are.

    Raises:
        ConfigError: The selection has no schedule.
    """
    with get_client(sync_client=True) as client:
        known = _find(client, name)
        if known is None or not known.schedules:
            do = "`less-flow schedule` lists those that have one; `less-flow schedule NAME --cron ...` makes one."
            raise ConfigError("selection", "a selection with a schedule", repr(name), do)
        for schedule in known.schedules:
            client.update_deployment_schedule(known.id, schedule.id, active=on)
        return len(known.schedules)


def list_scheduled() -> list[ScheduledSelection]:
    """Return the selections that are made again, by name, with their schedules, next and last run."""
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[SELECTION_TAG]))
    with get_client(sync_client=True) as client:
        return sorted(
            (
                ScheduledSelection(
                    name=found.name,
                    schedules=list(found.schedules),
                    next_run=_next_run(client, found.id),
                    last_run=_last_run(client, found.id),
                )
                for found in client.read_deployments(deployment_filter=tagged)
            ),
            key=lambda selection: selection.name,
        )


async def renew_selections(client: PrefectClient) -> None:
    """Give the deployments of selections what the form has by now; their selections, times and switches stay."""
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[SELECTION_TAG]))
    for found in await client.read_deployments(deployment_filter=tagged):
        form = await client.read_deployment_by_name(f"{FORM}/{FORM}")
        await client.update_deployment(found.id, DeploymentUpdate(**_shared(form)))


def _form(client: SyncPrefectClient) -> DeploymentResponse:
    try:
        return client.read_deployment_by_name(f"{FORM}/{FORM}")
    except ObjectNotFound:
        do = "Start `less-flow serve`, or run `prefect --no-prompt deploy --all` in the project's folder."
        raise ConfigError("the Prefect server", f"the deployment {FORM}", "none", do) from None


def _find(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(f"{FORM}/{name}")
    except ObjectNotFound:
        return None


def _shared(form: DeploymentResponse) -> dict[str, Any]:
    return {key: getattr(form, key) for key in SHARED}


def _cron(cron: str, timezone: str) -> CronSchedule:
    try:
        return CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        where = "--timezone" if "timezone" in str(error.errors()[0]["loc"]) else "--cron"
        expected = "a time zone such as Europe/Berlin" if where == "--timezone" else 'five fields such as "0 3 * * *"'
        do = "Correct it; https://crontab.guru explains the fields."
        raise ConfigError(where, expected, repr(timezone if where == "--timezone" else cron), do) from None


def _next_run(client: SyncPrefectClient, deployment: UUID) -> datetime | None:
    runs = client.read_flow_runs(flow_run_filter=_of(deployment, StateType.SCHEDULED), sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=1)
    return runs[0].expected_start_time if runs else None


def _last_run(client: SyncPrefectClient, deployment: UUID) -> FlowRun | None:
    """Return the last run that ended, but for ticks that were skipped because one was still at work."""
    ended = _of(deployment, *ENDED)
    runs = client.read_flow_runs(flow_run_filter=ended, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=RECENT)
    return next((run for run in runs if run.state and SKIPPED not in (run.state.message or "")), None)


def _of(deployment: UUID, *states: StateType) -> FlowRunFilter:
    return FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
    )
