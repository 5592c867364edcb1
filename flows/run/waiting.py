"""What the page of a waiting run shows: which run has the device, what it does, and how much longer it takes."""

import datetime
import time
from collections.abc import Callable
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
    WorkQueueFilter,
    WorkQueueFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import get_run_context
from prefect.runtime.flow_run import get_root_flow_run_id

from less_core.preflight.forecast import Left
from less_core.report.style.wording import about

KEY = "waiting"
EVERY = 15.0  # seconds between two looks at the queue


class Waiting:
    """Leaves an artifact on each run that waits in the same queue as the run at work, and keeps it up to date in place.

    A run that did not come from a queue tells nobody.

    Args:
        name: The name of the selection at work.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._run: FlowRun = get_run_context().flow_run  # type: ignore[union-attr, assignment]
        self._first: FlowRun | None = None  # the run that came from the queue: this one, or the one that it belongs to
        self._told: dict[UUID, UUID] = {}  # artifacts by run
        self._looked = -EVERY

    def over(self) -> None:
        """Say that this run no longer waits, if it has an artifact that says it does."""
        if not self._run.work_queue_name:
            return
        with get_client(sync_client=True) as client:
            if artifact := _find(client, self._run.id):
                client.update_artifact(artifact, ArtifactUpdate(data="Waited for the device, and has it now."))

    def tell(self, stage: str, left: Left | None) -> None:
        """Look now and then which runs wait, and tell them what the device is used for.

        Args:
            stage: The current stage.
            left: How much longer the run takes, if that is known.
        """
        if time.monotonic() - self._looked < EVERY:
            return
        self._looked = time.monotonic()
        until = f", {about(left.seconds)} left" if left else ""
        self._say(lambda: f"Waits for the device: `{self._name}` is at work on {stage}{until}.")

    def leave(self) -> None:
        """Tell the waiting runs that the device is free."""
        if self._told and self._first and self._first.id == self._run.id:
            self._say(lambda: f"Waits for the device: `{self._name}` has ended, the next run starts soon.")

    def _say(self, text: Callable[[], str]) -> None:
        with get_client(sync_client=True) as client:
            if self._first is None:
                part = self._run.parent_task_run_id is not None
                self._first = client.read_flow_run(UUID(get_root_flow_run_id())) if part else self._run
            for run in self._waiting(client, self._first):
                artifact = self._told.get(run) or _find(client, run)
                if artifact:
                    client.update_artifact(artifact, ArtifactUpdate(data=text()))
                else:
                    why = "Why this run waits"
                    new = ArtifactCreate(type="markdown", key=KEY, data=text(), description=why, flow_run_id=run)
                    artifact = client.create_artifact(new).id
                self._told[run] = artifact

    def _waiting(self, client: SyncPrefectClient, first: FlowRun) -> list[UUID]:
        """Return the runs of the same queue that are due."""
        if not first.work_queue_name or not first.work_pool_name:
            return []
        due = FlowRunFilterExpectedStartTime(before_=datetime.datetime.now(datetime.UTC))
        waits = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING]))
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=waits, expected_start_time=due),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[first.work_pool_name])),
            work_queue_filter=WorkQueueFilter(name=WorkQueueFilterName(any_=[first.work_queue_name])),
        )
        return [run.id for run in runs if run.id != first.id]


def _find(client: SyncPrefectClient, run: UUID) -> UUID | None:
    """Return the artifact that tells why a run waits."""
    of_it = ArtifactFilter(key=ArtifactFilterKey(any_=[KEY]), flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    found = client.read_artifacts(artifact_filter=of_it)
    return found[0].id if found else None
