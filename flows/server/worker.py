"""The worker's process: it imports Prefect while the server starts, and waits for a line on its standard input to begin.

The arguments are those of the command `prefect`.
"""

import os
import runpy
import sys


def main() -> None:
    """Wait, then become the worker."""
    import prefect.cli.worker
    import prefect.workers.process  # noqa: F401

    if not sys.stdin.readline():
        return  # whoever was to give the word is gone
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())  # for the runs, which inherit it
    sys.argv[0] = "prefect"
    runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    main()
