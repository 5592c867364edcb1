"""What a project needs of its server and `prefect.yaml` cannot say: the queue of the device, and what tells of dead runs.

Run as a module against $PREFECT_API_URL, in the project's folder, before a worker starts.
"""

import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import yaml
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed

POOL = "less"
QUEUE = "device"
RUNS_AT_ONCE = 1  # on the queue: one device, one run
SERVED = "--served"  # said by `less-flow serve`, whose server has just started
LOOPBACK = ("127.0.0.1", "localhost", "::1")
AT_WORK = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]))


async def provide(*, served: bool) -> None:
    """Make what is not there.

    Automations see dead runs. They would wear out the SQLite of `less-flow serve`, where each event becomes a write and writes that meet
    are refused: with `served`, what is said to run and does not is called crashed instead, now, before our own worker starts.
    """
    async with get_client() as client:
        await provide_queue(client)
        if not served:
            await provide_automations(client)
        elif urlsplit(str(PREFECT_API_URL.value())).hostname in LOOPBACK:  # else a worker of another machine may be at work
            await bury_dead_runs(client)


async def provide_queue(client: PrefectClient) -> None:
    """Make the queue; one that is there, perhaps with another limit by now, is left as it is."""
    try:
        await client.read_work_queue_by_name(QUEUE, work_pool_name=POOL)
    except ObjectNotFound:
        await client.create_work_queue(QUEUE, work_pool_name=POOL, concurrency_limit=RUNS_AT_ONCE)


async def provide_automations(client: PrefectClient) -> None:
    """Make the automations of deployments/*-detection.yaml that are not there by name."""
    for file in sorted(Path("deployments").glob("*-detection.yaml")):
        automation = AutomationCore.model_validate(yaml.safe_load(file.read_text()))
        if not await client.read_automations_by_name(automation.name):
            await client.create_automation(automation)


async def bury_dead_runs(client: PrefectClient) -> None:
    """Mark runs as crashed whose process is gone with the machine or with the worker and server that would have told.

    They would be shown as running for ever, and keep their place in the queue.
    """
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    for run in await client.read_flow_runs(flow_run_filter=FlowRunFilter(state=AT_WORK), work_pool_filter=pool):
        if run.infrastructure_pid and _is_alive(int(run.infrastructure_pid)):
            continue
        await _crash(client, run.id)
        parent = FlowRunFilterParentFlowRunId(any_=[run.id])
        for stage in await client.read_flow_runs(flow_run_filter=FlowRunFilter(state=AT_WORK, parent_flow_run_id=parent)):
            await _crash(client, stage.id)


async def _crash(client: PrefectClient, run: UUID) -> None:
    message = "Its process was gone when the service started. What it had computed is in the store; a new run goes on from there."
    await client.set_flow_run_state(run, Crashed(message=message), force=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    asyncio.run(provide(served=SERVED in sys.argv))
