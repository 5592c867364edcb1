"""The decorator of every task here: no cache of Prefect's own, retries for faults that a retry can help."""

from functools import partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from less_core.errors import LessError
from less_core.refs import Ref


def may_pass_next_time(task: Any, task_run: Any, state: Any) -> bool:
    """Tell whether a failed task is worth another try: a `LessError` would only come again."""
    return not isinstance(state.result(raise_on_failure=False), LessError)


stage_task = partial(
    task,
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,
    retry_condition_fn=may_pass_next_time,
)


def cached(ref: Ref, message: str) -> Any:
    """Return the state `Cached`, whose result is `ref`: the store had everything."""
    return Completed(name="Cached", message=message, data=ref)
