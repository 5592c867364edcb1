"""Server, UI, work pool, deployments and a worker with one command; what dies is started again, and all of it ends with it."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

from flows.demo import FOLDER, prepare_demo
from less_core.errors import ConfigError, LessError
from less_core.model.smollm2 import PACKAGE

POOL = "less"
PROJECT = "prefect.yaml"
START_SECONDS = 180  # a first start migrates an empty database
GRACE_SECONDS = 15
# A run holds its deployment's place by a lease. Kept in memory, it would be gone with a server that died, and the run be ended for it.
LEASES = "prefect.server.concurrency.lease_storage.filesystem"
TOO_SOON = 10  # seconds: what ends sooner than this after its start is not started a third time


SERVER_AUTH, CLIENT_AUTH = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"  # user:password, asked for and shown


class ServerError(LessError):
    """The Prefect server, or something around it, did not start."""


class Child:
    """A process of ours that is to run as long as we do."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._environment = dict(environment)
        self._quick_ends = 0
        self.start()

    def start(self) -> None:
        self._started = time.monotonic()
        # A session of its own: an interrupt from the terminal reaches it through us, once and in order.
        command = [sys.executable, "-m", "prefect", *self._arguments]
        self.process = subprocess.Popen(command, env=self._environment, start_new_session=True)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def start_again(self) -> None:
        """Start it anew.

        Raises:
            ServerError: It does not stay up.
        """
        self._quick_ends = self._quick_ends + 1 if time.monotonic() - self._started < TOO_SOON else 0
        if self._quick_ends > 1:
            raise ServerError(
                f"prefect {' '.join(self._arguments)}", "it to run", "an end right after its start", "See its last lines above."
            )
        print(f"less-flow: prefect {self._arguments[0]} ended; starting it again", flush=True)
        self.start()

    def stop(self) -> None:
        if self.ended():
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def serve(host: str, port: int) -> None:
    """Serve until interrupted.

    Raises:
        ConfigError: There is no prefect.yaml here.
        ServerError: The server did not come up, or a deployment was refused.
    """
    if not Path(PROJECT).is_file():
        raise ConfigError(str(Path.cwd()), f"a folder with {PROJECT}", "none", "Run this in the project's folder.")
    if str(FOLDER / "model") in Path(PROJECT).read_text() and find_spec(PACKAGE):
        prepare_demo()  # the form's defaults are to run as they are
    url = f"http://{host}:{port}/api"
    if _healthy(url):
        raise ServerError(
            f"less-flow serve --port {port}", "a free port", "a Prefect server that runs there already", "Stop it or choose another port."
        )
    environment = os.environ | {"PREFECT_API_URL": url, "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES}
    if SERVER_AUTH in environment:
        environment.setdefault(CLIENT_AUTH, environment[SERVER_AUTH])  # the worker and its runs are to get in
    elif not is_loopback(host):
        print(f"\nless-flow: WARNING: anyone who reaches {host}:{port} can run code here. Set {SERVER_AUTH}=user:password.\n", flush=True)
    children: list[Child] = []
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        server = Child(["server", "start", "--host", host, "--port", str(port)], environment)
        children.append(server)
        _wait_until_healthy(url, server)
        _prefect(["work-pool", "create", POOL, "--type", "process", "--overwrite"], environment)
        _run_python("flows.provide", environment, "--served")
        _prefect(["--no-prompt", "deploy", "--all", "--prefect-file", PROJECT], environment)
        children.append(Child(["worker", "start", "--pool", POOL, "--name", "less-worker"], environment))
        print(
            f"\nless-flow: UI on http://{host}:{port}/deployments - choose `select`, Run, Custom run. Ctrl-C ends everything.\n", flush=True
        )
        while True:
            for child in children:
                if child.ended():
                    child.start_again()
                    _wait_until_healthy(url, server)
            time.sleep(0.5)
    finally:
        for child in reversed(children):  # the worker before the server, so that it can say what became of its runs
            child.stop()


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address; of a name that is not `localhost` nobody knows."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _prefect(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    _run_python("prefect", environment, *arguments)


def _run_python(module: str, environment: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *arguments], env=dict(environment), capture_output=True, text=True)
    if done.returncode:
        got = (done.stdout + done.stderr).strip()[-500:]
        raise ServerError(f"{module} {' '.join(arguments)}", "success", got, "Mend what it names.")


def _wait_until_healthy(url: str, server: Child) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _healthy(url):
        if server.ended() or time.monotonic() > deadline:
            raise ServerError("the Prefect server", f"an answer at {url}", "none", "See its last lines above; is the port free?")
        time.sleep(0.5)


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
