"""The end of a run, as its own page shows it: the result with its files, or the one sentence that says what went wrong."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import get_run_context
from prefect.states import Completed, Failed

from flows.run.artifacts import artifact_key
from flows.run.pausing import resting_when_paused
from flows.run.progress import attempt
from flows.run.results_links import results_link
from flows.run.scheduled import refuse_form_defaults, tell_selection
from less_core.errors import LessError
from less_core.refs import RunRef
from less_core.settings.select import absolute_path
from tasks.run_logs import keep_run_logs_plain

P = ParamSpec("P")
R = TypeVar("R")


def answering(function: Callable[P, R]) -> Callable[P, R]:
    """Make a flow's function one whose run can be paused, and whose page says how it ended. It stands right below `@flow`.

    A `LessError` ends the run as failed, with its sentence as the state's message and as an artifact. Other errors are left to Prefect.
    """

    @wraps(function)
    def run(*arguments: P.args, **options: P.kwargs) -> Any:
        keep_run_logs_plain()
        try:
            with resting_when_paused():
                refuse_form_defaults()
                ended: Any = function(*arguments, **options)
        except LessError as error:
            from less_core.report.result import render_failure

            key, page = artifact_key(_run_name(), "what-went-wrong"), render_failure(error)
            attempt("what went wrong", lambda: create_markdown_artifact(key=key, markdown=page, description="What went wrong"))
            ended = Failed(message=str(error), data=error)
        if isinstance(ended, State):
            tell_selection(ended)
        return ended

    return run


def completed(run: RunRef, *, name: str = "Completed") -> Any:
    """Return the final state of a run that made a selection, or found it unchanged, and show the result on the run's page.

    Args:
        run: What was made.
        name: Of the state.
    """
    from less_core.report.result import render_result, result_line

    link, told = results_link(absolute_path(run.folder), "report.html"), result_line(run)
    page = render_result(run, link)
    attempt(
        "the result",
        lambda: create_markdown_artifact(key=artifact_key(run.name, "result"), markdown=page, description=told),
    )
    if link:
        key, about = artifact_key(run.name, "report-page"), f"Report of {run.name}"
        attempt("the report's link", lambda: create_link_artifact(link, "Open the report", key=key, description=about))
    return Completed(name=name, message=told, data=run)


def _run_name() -> str:
    run = get_run_context().flow_run  # type: ignore[union-attr]
    return run.name if run else "run"
