"""What stands in a run's log of an error, and of what was stopped."""

import logging

import pytest

from less_core.errors import ConfigError
from tasks.run_logs import RUN_LOGGERS, keep_run_logs_plain

NOT_SENT = {"send_to_api": False}  # there is no run that a server could show it with


@pytest.fixture
def records() -> list[logging.LogRecord]:
    """What reaches the handlers of Prefect's loggers of runs."""
    keep_run_logs_plain()
    kept: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    handler = Keep()
    for name in RUN_LOGGERS:
        logging.getLogger(name).addHandler(handler)
    yield kept
    for name in RUN_LOGGERS:
        logging.getLogger(name).removeHandler(handler)


def fail(error: Exception) -> None:
    """Log as Prefect's engines do: of the flow run with the exception as an argument, of the task run with a traceback."""
    try:
        raise error
    except Exception as raised:
        logging.getLogger("prefect.task_runs").error(f"Task run failed with exception: {raised!r}", exc_info=True, extra=NOT_SENT)
        logging.getLogger("prefect.flow_runs").exception("Encountered exception during execution: %r", raised, extra=NOT_SENT)


def test_a_less_error_is_logged_once_as_its_sentence_without_a_traceback(records: list[logging.LogRecord]) -> None:
    error = ConfigError("model.path", "a folder", "none", "Check the path.")
    fail(error)
    (record,) = records
    assert record.getMessage() == str(error)
    assert record.exc_info is None
    assert record.levelno == logging.ERROR


def test_other_errors_keep_their_traceback_at_every_level(records: list[logging.LogRecord]) -> None:
    fail(RuntimeError("a bug"))
    assert [record.exc_info is not None for record in records] == [True, True]


def test_the_end_of_a_stopped_task_is_no_error(records: list[logging.LogRecord]) -> None:
    logger = logging.getLogger("prefect.task_runs")
    logger.error("Finished in state Cancelled('the stage was stopped')", extra=NOT_SENT)
    logger.error("Finished in state Failed('something else')", extra=NOT_SENT)
    assert [record.levelname for record in records] == ["INFO", "ERROR"]


def test_a_submitted_task_that_never_began_is_no_crash(records: list[logging.LogRecord]) -> None:
    told = "Crash detected! Execution was interrupted by an unexpected exception: CancelledError: Task run cancelled by the task runner"
    logging.getLogger("prefect.task_runs").error(told, extra=NOT_SENT)
    (record,) = records
    assert (record.levelname, record.getMessage()) == ("INFO", "Not begun: its stage was stopped")
