"""Server, UI, work pool, deployments and a worker with one command; all of them end with it."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from flows.demo import FOLDER, prepare_demo
from less_core.errors import ConfigError, LessError
from less_core.model.smollm2 import PACKAGE

POOL = "less"
PROJECT = "prefect.yaml"
START_SECONDS = 180  # a first start migrates an empty database
GRACE_SECONDS = 15


class ServerError(LessError):
    """The Prefect server, or something around it, did not start."""


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
    environment = os.environ | {"PREFECT_API_URL": url}
    children: list[subprocess.Popen[bytes]] = []
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        children.append(_start(["server", "start", "--host", host, "--port", str(port)], environment))
        _wait_until_healthy(url, children[0])
        _prefect(["work-pool", "create", POOL, "--type", "process", "--overwrite"], environment)
        _prefect(["--no-prompt", "deploy", "--all", "--prefect-file", PROJECT], environment)
        children.append(_start(["worker", "start", "--pool", POOL, "--name", "less-worker"], environment))
        print(
            f"\nless-flow: UI on http://{host}:{port}/deployments - choose `select`, Run, Custom run. Ctrl-C ends everything.\n", flush=True
        )
        while all(child.poll() is None for child in children):
            time.sleep(0.5)
        raise ServerError("less-flow serve", "server and worker to run", "one of them ended", "See its last lines above.")
    finally:
        _stop(children)


def _start(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # A session of its own: an interrupt from the terminal reaches it through us, once and in order.
    return subprocess.Popen([sys.executable, "-m", "prefect", *arguments], env=dict(environment), start_new_session=True)


def _prefect(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run([sys.executable, "-m", "prefect", *arguments], env=dict(environment), capture_output=True, text=True)
    if done.returncode:
        got = (done.stdout + done.stderr).strip()[-500:]
        raise ServerError(f"prefect {' '.join(arguments)}", "success", got, "Mend what it names.")


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _healthy(url):
        if server.poll() is not None or time.monotonic() > deadline:
            raise ServerError("the Prefect server", f"an answer at {url}", "none", "See its last lines above; is the port free?")
        time.sleep(0.5)


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the worker before the server, so that it can say what became of its runs."""
    for child in reversed(children):
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
