"""What `less-flow serve` sets right before its worker starts."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import FlowRun
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Running

from flows.server.names import POOL
from flows.server.setup import QUEUE, bury_dead_runs, provide_automations, provide_pool, provide_queue

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@flow
def parent() -> None:
    """Never called: its runs are made by hand."""


async def make_pool(client) -> None:
    with contextlib.suppress(ObjectAlreadyExists):
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))


async def make_run(client, pid: str) -> FlowRun:
    """A run of the pool that is said to run in that process."""
    deployment = await client.create_deployment(
        flow_id=await client.create_flow(parent), name=f"d{pid}", work_pool_name=POOL, work_queue_name="default"
    )
    run = await client.create_flow_run_from_deployment(deployment)
    await client.set_flow_run_state(run.id, Running(), force=True)
    await client.update_flow_run(run.id, infrastructure_pid=pid)
    return run


def test_run_whose_process_is_gone_is_crashed_and_one_that_lives_is_left_alone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    async def run() -> list[str]:
        async with get_client() as client:
            await make_pool(client)
            dead, alive = await make_run(client, str(ended.pid)), await make_run(client, str(os.getpid()))
            await bury_dead_runs(client)
            states = [(await client.read_flow_run(run.id)).state_type.value for run in (dead, alive)]
            await client.delete_flow_run(alive.id)
            return states

    assert asyncio.run(run()) == ["CRASHED", "RUNNING"]


def test_queue_is_made_with_room_for_one_run_and_a_changed_limit_is_kept() -> None:
    async def run() -> list[int | None]:
        async with get_client() as client:
            await make_pool(client)
            limits = []
            for limit in (None, 3):
                await provide_queue(client)
                queue = await client.read_work_queue_by_name(QUEUE, work_pool_name=POOL)
                if limit:
                    await client.update_work_queue(queue.id, concurrency_limit=limit)
                    await provide_queue(client)
                    queue = await client.read_work_queue_by_name(QUEUE, work_pool_name=POOL)
                limits.append(queue.concurrency_limit)
            return limits

    assert asyncio.run(run()) == [1, 3]


def test_automations_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])

    async def run() -> list[int]:
        async with get_client() as client:
            for _ in range(2):
                await provide_automations(client)
            made = [await client.read_automations_by_name(name) for name in ("less-crash-detection", "less-cancel-detection")]
            for automation in [automation for found in made for automation in found]:
                await client.delete_automation(automation.id)
            return [len(found) for found in made]

    assert asyncio.run(run()) == [1, 1]


def test_automation_that_says_something_else_is_renewed_and_one_that_was_switched_off_stays_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "deployments" / "crash-detection.yaml"
    file.parent.mkdir()
    ours = (Path(__file__).parents[3] / "deployments" / "crash-detection.yaml").read_text()
    file.write_text(ours)
    changes: list[UUID] = []

    async def run() -> tuple[bool, bool, str]:
        async with get_client() as client:
            update = client.update_automation

            async def count(automation_id: UUID, automation: AutomationCore) -> None:
                changes.append(automation_id)
                await update(automation_id, automation)

            monkeypatch.setattr(client, "update_automation", count)
            await provide_automations(client)
            await provide_automations(client)
            unchanged = not changes
            (made,) = await client.read_automations_by_name("less-crash-detection")
            await client.pause_automation(made.id)
            file.write_text(ours.replace("CRASHED", "FAILED"))
            await provide_automations(client)
            (renewed,) = await client.read_automations_by_name("less-crash-detection")
            await client.delete_automation(renewed.id)
            return unchanged and renewed.id == made.id, renewed.enabled, str(renewed.actions[0].state.value)

    assert asyncio.run(run()) == (True, False, "FAILED")
    assert len(changes) == 1


def test_pool_that_a_person_changed_is_left_as_it_is() -> None:
    async def run() -> str | None:
        async with get_client() as client:
            await provide_pool(client)
            await client.update_work_pool(POOL, WorkPoolUpdate(description="mine"))
            await provide_pool(client)
            return (await client.read_work_pool(POOL)).description

    assert asyncio.run(run()) == "mine"
