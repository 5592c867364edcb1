"""The worker's process: it imports Prefect while the server starts, and waits for a line on its standard input to begin.

The arguments are those of the command `prefect`.
"""

import logging
import os
import runpy
import sys

RUN_LOGGER = "prefect.flow_runs.worker"  # what the worker says of a run


def main() -> None:
    """Wait, then become the worker."""
    import prefect.cli.worker
    import prefect.workers.process  # noqa: F401

    # A filter stays when Prefect sets its loggers up again; a level would not.
    logging.getLogger(RUN_LOGGER).addFilter(keep_off_the_page)
    if not sys.stdin.readline():
        return  # whoever was to give the word is gone
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())  # for the runs, which inherit it
    sys.argv[0] = "prefect"
    runpy.run_module("prefect", run_name="__main__")


def keep_off_the_page(record: logging.LogRecord) -> bool:
    """Send only the worker's warnings to the run's page, so that its own lines stand at the top; the worker's log keeps them all."""
    record.send_to_api = record.levelno >= logging.WARNING
    return True


if __name__ == "__main__":
    main()
