"""Pause and Resume from the Prefect UI: the process of a paused run ends, and a resumed run goes on from the store in a new one.

Prefect itself looks for a pause only when a run starts its next task, and the one at work may take minutes and keeps the device.
"""

import atexit
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import timedelta
from types import FrameType
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import get_run_context
from prefect.exceptions import Pause
from prefect.states import Running, Suspended

from tasks.work import WORK

LOOK_EVERY = 2.0  # seconds between two looks at the run's state
GRACE = 5.0  # seconds for the batch at work; then the process ends without it: what the store holds is whole at any time
LAST_WORD = 2.0  # seconds to tell the server so
FOR_EVER = int(timedelta(days=365).total_seconds())  # the UI's own limit is five minutes, after which Resume fails the run

PAUSED = "Paused: its process has ended and the device is free. Resume goes on from the store."
NOT_A_STAGE = "A stage cannot be paused by itself. Pause the run that it belongs to."
NO_DEPLOYMENT = (
    "A run from the command line cannot be paused: nobody would start it again. Press Cancel; the same command goes on where it was."
)

logger = logging.getLogger(__name__)


@contextmanager
def resting_when_paused() -> Iterator[None]:
    """End the run's process within seconds of a pause, for the block. A run within another one rests with it."""
    run = get_run_context().flow_run  # type: ignore[union-attr]
    if run is None or run.parent_task_run_id or threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch(run)
    before = signal.signal(signal.SIGUSR1, watch.raise_pause)
    # The thread needs the run's context: which server, which profile.
    thread = threading.Thread(target=copy_context().run, args=(watch.look,), daemon=True, name="pause")
    thread.start()
    try:
        yield
    except Pause:  # ours, or Prefect's own where the run was about to start a task
        watch.leave()
        atexit.register(watch.report_last)
        raise
    finally:
        watch.leave()
        signal.signal(signal.SIGUSR1, before)


class _Watch:
    """Looks at a run's state until it is paused or the run has ended."""

    def __init__(self, run: FlowRun) -> None:
        self._ended = threading.Event()
        self._signalling = threading.Lock()
        self._run = run
        self._state: State | None = None
        self._resting: set[UUID] = set()  # stages that rest since an earlier pause, until this process comes to them

    def look(self) -> None:
        with get_client(sync_client=True) as client:
            with suppress(Exception):
                self._resting = {stage.id for stage in _stages(client, self._run.id, StateType.PAUSED)}
            while not self._ended.wait(LOOK_EVERY):
                with suppress(Exception):  # a server that does not answer must not end the work
                    if self._is_to_rest(client):
                        self._rest(client)
                        return

    def _is_to_rest(self, client: SyncPrefectClient) -> bool:
        paused = {stage.id for stage in _stages(client, self._run.id, StateType.PAUSED)}
        self._resting &= paused
        for stage in paused - self._resting:
            client.set_flow_run_state(stage, Running(message=NOT_A_STAGE), force=True)
        state = client.read_flow_run(self._run.id).state
        if state is None or not state.is_paused():
            return False
        if self._run.deployment_id is None:
            logger.warning(NO_DEPLOYMENT)
            client.set_flow_run_state(self._run.id, Running(message=NO_DEPLOYMENT), force=True)
            return False
        return True

    def _rest(self, client: SyncPrefectClient) -> None:
        _after(GRACE, self._end)
        logger.info(PAUSED)
        self._report(client)
        WORK.stop.set()  # what other threads compute ends at its next batch
        with self._signalling:
            if not self._ended.is_set():
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def leave(self) -> None:
        """Send no signal from now on: the main thread is on its way out, and without its handler the signal would kill the process."""
        self._ended.set()
        with self._signalling:
            pass  # one that is being sent has arrived

    def _report(self, client: SyncPrefectClient) -> None:
        """Say how the run goes on, and lift the UI's time limit; its stages rest too."""
        with suppress(Exception):  # it is paused whether or not the server answers
            state = client.read_flow_run(self._run.id).state
            if state is None or not state.is_paused():
                return  # it was resumed or cancelled meanwhile
            self._state = client.set_flow_run_state(self._run.id, _suspended(), force=True).state
            for stage in _stages(client, self._run.id, StateType.RUNNING, StateType.PAUSED):
                client.set_flow_run_state(stage.id, _suspended(), force=True)

    def report_last(self) -> None:
        """Say it again as the last word of the process: after a heartbeat, crash detection would wait for another."""
        with get_client(sync_client=True) as client:
            self._report(client)

    def raise_pause(self, number: int, frame: FrameType | None) -> None:
        """Leave the main thread as Prefect's own suspension does: no state is reported, and the process ends without an error."""
        if not self._ended.is_set():
            raise Pause(PAUSED, state=self._state)

    def _end(self) -> None:
        _after(LAST_WORD, lambda: os._exit(0))  # a server that does not answer must not keep the device
        self.report_last()
        os._exit(0)


def _after(seconds: float, do: Callable[[], None]) -> None:
    """Do something later, unless the process has ended by then."""
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()


def _suspended() -> State:
    return Suspended(timeout_seconds=FOR_EVER, message=PAUSED)


def _stages(client: SyncPrefectClient, run: UUID, *states: StateType) -> list[FlowRun]:
    """Return the runs within a run that are in one of some states."""
    within = FlowRunFilter(
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
    )
    return client.read_flow_runs(flow_run_filter=within)
