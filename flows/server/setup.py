"""What a project needs of its server and `prefect.yaml` cannot say: the queue of the device, and what ends dead runs.

Run as a module against $PREFECT_API_URL, in the project's folder, before a worker starts. With `--served` it also makes the work pool and
deploys prefect.yaml: one process for all of it, which imports Prefect while the server starts.
"""

import asyncio
import os
import runpy
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import yaml
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
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

from flows.server.errors import ServerError
from flows.server.names import POOL, PROJECT, is_loopback
from flows.server.processes.health import is_healthy
from flows.server.schedules import renew_selections

QUEUE = "device"
RUNS_AT_ONCE = 1  # on the queue: one device, one run
SERVED = "--served"  # said by `less-flow serve`, whose server is just starting
START_SECONDS = 180  # a first start migrates an empty database
AT_WORK = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]))


def main(*, served: bool) -> None:
    """Set up a server; with `served`, deploy as well."""
    if served:
        _import_what_deploys()
        _wait_until_healthy()
    asyncio.run(provide(served=served))
    if served:
        sys.argv = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", PROJECT]
        _run_as_program("prefect")
        asyncio.run(renew())


async def renew() -> None:
    """Give the selections that are made again on a schedule what came with this version of the project."""
    async with get_client() as client:
        await renew_selections(client)


async def provide(*, served: bool) -> None:
    """Make what is not there.

    Automations end runs whose process is gone. They would wear out the SQLite of `less-flow serve`, where each event becomes a write and
    writes that meet are refused: with `served`, such runs are set to Crashed now instead, before our own worker starts.
    """
    async with get_client() as client:
        if served:
            await provide_pool(client)
        await provide_queue(client)
        if not served:
            await provide_automations(client)
        elif is_loopback(urlsplit(str(PREFECT_API_URL.value())).hostname or ""):  # else a worker of another machine may be at work
            await bury_dead_runs(client)


async def provide_pool(client: PrefectClient) -> None:
    """Make the work pool; one that is there, perhaps changed in the UI by now, is left as it is."""
    from prefect.workers.process import ProcessWorker

    try:
        await client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        await client.create_work_pool(WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template))


async def provide_queue(client: PrefectClient) -> None:
    """Make the queue; one that is there, perhaps with another limit by now, is left as it is."""
    try:
        await client.read_work_queue_by_name(QUEUE, work_pool_name=POOL)
    except ObjectNotFound:
        await client.create_work_queue(QUEUE, work_pool_name=POOL, concurrency_limit=RUNS_AT_ONCE)


async def provide_automations(client: PrefectClient) -> None:
    """Make the automations of deployments/*-detection.yaml that are not there by name, and renew those that say something else.

    One that was switched off stays off.
    """
    for file in sorted(Path("deployments").glob("*-detection.yaml")):
        automation = AutomationCore.model_validate(yaml.safe_load(file.read_text()))
        there = await client.read_automations_by_name(automation.name)
        if not there:
            await client.create_automation(automation)
        for old in there:
            kept = automation.model_copy(update={"enabled": old.enabled})
            if AutomationCore.model_validate(old.model_dump(include=set(AutomationCore.model_fields))) != kept:
                await client.update_automation(old.id, kept)


async def bury_dead_runs(client: PrefectClient) -> None:
    """Set runs to Crashed whose process is gone with the machine, or with the worker and server that would have told.

    They would be shown as Running for ever, and keep their place in the queue.
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


def _run_as_program(module: str) -> None:
    """Run a program in this process, and go on where it ends well."""
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise


def _import_what_deploys() -> None:
    import prefect.cli.deploy
    import prefect.workers.process  # noqa: F401


def _wait_until_healthy() -> None:
    url = str(PREFECT_API_URL.value())
    deadline = time.monotonic() + START_SECONDS
    while not is_healthy(url):
        if time.monotonic() > deadline:
            raise ServerError(url, "a Prefect server", f"no answer within {START_SECONDS} s", "See the server's log.")
        time.sleep(0.1)


if __name__ == "__main__":
    main(served=SERVED in sys.argv)
