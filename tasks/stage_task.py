"""The decorator of every task here: no cache of Prefect's own, retries for faults that a retry can help, an end where a stage ended."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled, Completed
from prefect.tasks import exponential_backoff

from less_core.errors import LessError
from less_core.refs import Record
from tasks.work import WORK, Stopped

P = ParamSpec("P")
R = TypeVar("R")


def may_pass_next_time(task: Any, task_run: Any, state: Any) -> bool:
    """Tell whether a failed task is worth another try: a `LessError` would only come again."""
    return not isinstance(state.result(raise_on_failure=False), LessError)


def stage_task(task_run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a function; `task_run_name` is what the UI shows, formatted with the function's arguments.

    What is left of a stage that was stopped ends as `Cancelled`, and not as a failure that someone would look into.
    """
    decorate: Any = task(
        task_run_name=task_run_name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=3,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=may_pass_next_time,
    )

    def stoppable(function: Callable[P, R]) -> Task[P, R]:
        @wraps(function)
        def run(*arguments: P.args, **options: P.kwargs) -> Any:
            try:
                WORK.go_on()
                return function(*arguments, **options)
            except Stopped as stopped:
                return Cancelled(message=str(stopped))

        made: Task[P, R] = decorate(run)
        return made

    return stoppable


def done_as(name: str, ref: Record | Sequence[Record], message: str) -> Any:
    """Return a completed state that shows under another name, such as `Cached` where the store had everything; its result is `ref`."""
    return Completed(name=name, message=message, data=ref)
