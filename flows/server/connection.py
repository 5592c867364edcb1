"""Which Prefect server a command reports to, settled before Prefect is imported and reads its settings.

It is the one that the user's settings name, else the service of this folder, else one that Prefect starts for the command alone.
"""

import os
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path

from flows.server.errors import ServerError
from flows.server.home import RESULTS, home_of_command, make_home, settings_of
from flows.server.names import API_URL, CLIENT_AUTH, HOME, RESULTS_HOME, RESULTS_URL
from flows.server.processes.health import is_there, lets_in
from flows.server.record import find_served
from flows.server.settings import find_setting
from less_core.errors import ConfigError

PATIENCE = 10  # seconds for a server that is just being started again


def connect_here() -> None:
    """Settle the server of this process' command. Where Prefect is imported already, its settings stand."""
    if "prefect" not in sys.modules:
        connect(Path.cwd(), os.environ)


def connect(folder: Path, environment: MutableMapping[str, str]) -> None:
    """Set in the environment what leads Prefect to a command's server.

    Raises:
        ServerError: The server that is named does not answer.
        ConfigError: The service of this folder wants a password, or no server can be started for want of a folder to write.
    """
    if url := find_setting(API_URL, folder, environment):
        _wait_until_there(url.rstrip("/"))
    elif served := find_served(folder, environment):
        if not lets_in(served.api, environment.get(CLIENT_AUTH, "")):
            raise ConfigError(served.url, f"the service's user:password in {CLIENT_AUTH}", "none, or another", f"Set {CLIENT_AUTH}.")
        environment.update({API_URL: served.api, RESULTS_URL: served.results, RESULTS_HOME: str(Path(served.home) / RESULTS)})
        print(f"less-flow: shown on {served.url}", file=sys.stderr, flush=True)
    else:
        home = home_of_command(folder, environment)
        make_home(home, f"Set {HOME} to one.")
        environment.update(settings_of(home, environment))


def _wait_until_there(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_there(url):
        if time.monotonic() > deadline:
            do = f"Start that server, or unset {API_URL} (in the environment or in Prefect's profile) to run without it."
            raise ServerError(url, "a Prefect server", f"no answer within {PATIENCE} s", do)
        time.sleep(0.5)
