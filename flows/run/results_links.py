"""Links to results, for the pages of runs that `less-flow serve` serves."""

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from flows.server.names import RESULTS_HOME, RESULTS_URL
from less_core.errors import LessError
from less_core.files.fingerprint import fingerprint
from less_core.files.whole import exists, write_json

KEY_LENGTH = 12  # hexadecimal digits


def results_link(folder: str, file: str) -> str:
    """Return the web address of a file of a run, and make the folder of its results known to the server of results.

    Args:
        folder: The run's own folder, `<runs>/<name>`: an absolute path or a URL.
        file: The file's path in it, such as `report.html` or `selected/maths.jsonl`.

    Returns:
        The address; empty where no service serves results, or where its home cannot be written from here.
    """
    home, url = os.environ.get(RESULTS_HOME), os.environ.get(RESULTS_URL)
    if not home or not url:
        return ""
    runs, _, name = folder.rstrip("/").rpartition("/")
    with suppress(OSError, LessError):
        return f"{url}/{_make_known(Path(home), runs)}/{quote(f'{name}/{file}')}"
    return ""


def _make_known(home: Path, runs: str) -> str:
    """Write down a folder of results where it is not yet; return its key."""
    key = fingerprint(runs)[:KEY_LENGTH]
    record = str(home / f"{key}.json")
    if not exists(record):
        write_json(record, {"runs": runs})
    return key
