"""The decorator of every task here: no cache of Prefect's own, retries for faults that a retry can help."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from less_core.errors import LessError
from less_core.refs import Ref
from tasks.runtime import Stopped

P = ParamSpec("P")
R = TypeVar("R")


def may_pass_next_time(task: Any, task_run: Any, state: Any) -> bool:
    """Tell whether a failed task is worth another try: a `LessError` would only come again, and what was stopped was meant to be."""
    return not isinstance(state.result(raise_on_failure=False), LessError | Stopped)


def stage_task(task_run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a function; `task_run_name` is what the UI shows, formatted with the function's arguments."""
    decorate: Any = task(
        task_run_name=task_run_name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=3,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=may_pass_next_time,
    )
    return decorate


def done_as(name: str, ref: Ref, message: str) -> Any:
    """Return a completed state that shows under another name, such as `Cached` where the store had everything; its result is `ref`."""
    return Completed(name=name, message=message, data=ref)
