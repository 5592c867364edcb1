"""The lines that Prefect writes into a run's log, without what hides the reason of a failure from a person.

Prefect logs a failure once a level, as a traceback each time: at the task, at its stage and at the run. A `LessError` is a sentence that
says what to do, so it is logged as that sentence, once. A task that ends because its run is cancelled or paused is no failure, so it is
not logged as an error.
"""

import logging

from less_core.errors import LessError

RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
STOPPED = ("Finished in state Cancelled", "Finished in state Suspended")
NOT_BEGUN = "cancelled by the task runner"  # what Prefect calls a crash: a task that was submitted and waited for its turn
_LOGGED = "_less_logged"  # marks an error that stands in the log


class PlainRunLog(logging.Filter):
    """Logs a `LessError` once and without its traceback, and the end of a stopped task as information."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = _error_in(record)
        if error is not None:
            if getattr(error, _LOGGED, False):
                return False
            setattr(error, _LOGGED, True)
            record.msg, record.args = str(error), ()
            record.exc_info = record.exc_text = None
        elif record.levelno == logging.ERROR:
            message = record.getMessage()
            if NOT_BEGUN in message:
                record.msg, record.args = "Not begun: its stage was stopped", ()
                record.exc_info = record.exc_text = None
            if NOT_BEGUN in message or message.startswith(STOPPED):
                record.levelno, record.levelname = logging.INFO, "INFO"
        return True


def _error_in(record: logging.LogRecord) -> LessError | None:
    """Return the `LessError` that a record tells of: Prefect hands it on as the exception or as an argument of the message."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    found = (record.exc_info[1] if record.exc_info else None, *arguments)
    return next((error for error in found if isinstance(error, LessError)), None)


def keep_run_logs_plain() -> None:
    """Put the filter on Prefect's loggers of runs; a second call changes nothing."""
    for name in RUN_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, PlainRunLog) for known in logger.filters):
            logger.addFilter(PlainRunLog())
