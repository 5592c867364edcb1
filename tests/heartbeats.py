"""Flows without Prefect's heartbeat, whose thread lets the end of every flow wait for up to a second."""

from contextlib import AbstractContextManager

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, Settings, temporary_settings


def without_heartbeats() -> AbstractContextManager[Settings]:
    """Leave heartbeats out of the flows of this process; no variable of the environment can."""
    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
