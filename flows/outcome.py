"""The end of a run, as its own page shows it: the result with its files, or the one sentence that says what went wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import get_run_context
from prefect.states import Completed, Failed

from flows.artifacts import artifact_key
from flows.pausing import resting_when_paused
from flows.progress import attempt
from flows.results_links import results_link
from flows.scheduled import refuse_form_defaults, tell_selection
from less_core.config import absolute_path
from less_core.errors import LessError
from less_core.refs import RunRef
from tasks.run_logs import keep_run_logs_plain

P = ParamSpec("P")
R = TypeVar("R")

_PAGE: ContextVar[Context | None] = ContextVar("page", default=None)


def answering(function: Callable[P, R]) -> Callable[P, R]:
    """Make a flow's function one whose run can be paused, and whose page says how it ended. It stands right below `@flow`.

    A `LessError` ends the run as failed, with its sentence as the state's message and as an artifact. Other errors are left to Prefect.
    """

    @wraps(function)
    def run(*arguments: P.args, **options: P.kwargs) -> Any:
        keep_run_logs_plain()
        try:
            with resting_when_paused(), _page_of_this_run():
                refuse_form_defaults()
                ended: Any = function(*arguments, **options)
        except LessError as error:
            from less_core.report.result_markdown import render_failure

            key, page = artifact_key(_run_name(), "what-went-wrong"), render_failure(error)
            show = partial(on_run_page, create_markdown_artifact, key, markdown=page, description="What went wrong")
            attempt("what went wrong", show)
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
    from less_core.report.result_markdown import render_result, result_line

    link = results_link(absolute_path(run.folder), "report.html")
    page, told = render_result(run, link), result_line(run)
    show = partial(on_run_page, create_markdown_artifact, artifact_key(run.name, "result"), markdown=page, description=told)
    attempt("the result", show)
    if link:
        key, told = artifact_key(run.name, "report-page"), f"Report of {run.name}"
        show = partial(on_run_page, create_link_artifact, key, link=link, link_text="Open the report", description=told)
        attempt("the report's link", show)
    return Completed(name=name, message=result_line(run), data=run)


def on_run_page(create: Callable[..., Any], key: str, **artifact: Any) -> Any:
    """Create an artifact on the page of the whole run, also from within a stage; return what `create` returns."""
    page = _PAGE.get() or copy_context()
    return page.run(create, key=key, **artifact)


@contextmanager
def _page_of_this_run() -> Iterator[None]:
    token = _PAGE.set(copy_context())
    try:
        yield
    finally:
        _PAGE.reset(token)


def _run_name() -> str:
    run = get_run_context().flow_run  # type: ignore[union-attr]
    return run.name if run else "run"
