"""What the deployments count on and `prefect.yaml` cannot make: the queue of the device, and the automations that see dead runs.

Run as a module against $PREFECT_API_URL. What is there already, perhaps changed by someone, is left as it is.
"""

import asyncio
from pathlib import Path

import yaml
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

POOL = "less"
QUEUE = "device"
RUNS_AT_ONCE = 1  # on the queue: one device, one run


async def provide() -> None:
    """Make what is not there."""
    async with get_client() as client:
        await _provide_queue(client)
        for file in sorted(Path("deployments").glob("*-detection.yaml")):
            automation = AutomationCore.model_validate(yaml.safe_load(file.read_text()))
            if not await client.read_automations_by_name(automation.name):
                await client.create_automation(automation)


async def _provide_queue(client: PrefectClient) -> None:
    try:
        await client.read_work_queue_by_name(QUEUE, work_pool_name=POOL)
    except ObjectNotFound:
        await client.create_work_queue(QUEUE, work_pool_name=POOL, concurrency_limit=RUNS_AT_ONCE)


if __name__ == "__main__":
    asyncio.run(provide())
