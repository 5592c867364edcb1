"""Server, UI, deployments, a worker and results with one command; what dies is started again, and all of it ends with it."""

import errno
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import yaml

from flows.server.errors import ServerError
from flows.server.home import OF_PREFECT, RESULTS, forgotten_schedules, home_to_serve, make_home, settings_of
from flows.server.names import (
    API_URL,
    CLIENT_AUTH,
    EVERYWHERE,
    POOL,
    PROJECT,
    RESULTS_HOME,
    RESULTS_URL,
    SERVER_AUTH,
    WORKER,
    is_loopback,
    web_address,
)
from flows.server.processes.children import Child
from flows.server.processes.health import is_healthy, is_there
from flows.server.processes.versions import check_versions
from flows.server.record import Served, read_record, write_record
from flows.server.settings import find_setting
from less_core.errors import ConfigError

START_SECONDS = 180  # a first start migrates an empty database
# A run holds its deployment's place by a lease. Kept in memory, it would be gone with a server that died, and the run be ended for it.
LEASES = "prefect.server.concurrency.lease_storage.filesystem"


def serve(host: str, port: int, results_port: int | None = None, home: str | None = None) -> None:
    """Serve until interrupted.

    Args:
        host: Address to bind.
        port: Port of UI and API.
        results_port: Port of the results; the next one where it is None.
        home: Folder of the server's database; see `home.py` for what None means.

    Raises:
        ConfigError: The project, the home or a port cannot be used.
        ServerError: A process did not start, or does not stay up.
    """
    folder = Path.cwd()
    _check_project(folder)
    check_versions()
    place = home_to_serve(folder, home, os.environ)
    service = Service(host, port, port + 1 if results_port is None else results_port, folder, place)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupt)
    try:
        with service:
            service.watch()
    except KeyboardInterrupt:
        print(f"less-flow: the service has stopped. `less-flow serve` goes on with what is in {place}", flush=True)


class Service:
    """The processes that are served together, from their first check to their end."""

    def __init__(self, host: str, port: int, results_port: int, folder: Path, home: Path) -> None:
        self._host, self._port, self._results_port = host, port, results_port
        self._folder, self._home = folder, home
        self._began = time.monotonic()
        self._url, self._results = web_address(host, port), web_address(host, results_port)
        self._password = find_setting(SERVER_AUTH, folder, os.environ)
        self._children: list[Child] = []
        self._ending = ExitStack()

    def __enter__(self) -> "Service":
        self._say(f"starting {self._url}; the home is {self._home}, logs are in {self._logs}")
        make_home(self._home, "Name another with --home.")
        self._check_alone()
        for port, option in ((self._port, "--port"), (self._results_port, "--results-port")):
            _check_free(self._host, port, option)
        self._warn()
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def watch(self) -> None:
        """Start again what ends.

        Raises:
            ServerError: A process does not stay up.
        """
        while True:
            for child in self._children:
                if child.ended():
                    child.start_again()
                    self._wait(lambda: is_healthy(self._api), self._children[0])
            time.sleep(0.5)

    @property
    def _api(self) -> str:
        return f"{self._url}/api"

    @property
    def _logs(self) -> Path:
        return self._home / "logs"

    def _start(self) -> None:
        self._logs.mkdir(exist_ok=True)
        server = self._child("server", "prefect", "server", "start", "--host", self._host, "--port", str(self._port))
        setup = self._child("setup", "flows.server.setup", "--served")
        self._children.remove(setup)
        self._ending.callback(setup.stop)
        self._wait(lambda: is_healthy(self._api), server, setup)
        self._say("the server answers")
        results = ["--host", self._host, "--port", str(self._results_port), "--home", str(self._home / RESULTS)]
        self._child("results", "flows.server.results.server", *results)
        worker = self._child("worker", "flows.server.processes.worker", "worker", "start", "--pool", POOL, "--name", WORKER, gated=True)
        self._wait(setup.ended, *self._children)
        if setup.process.returncode:
            raise setup.failure()
        self._say("work pool, queue and deployments are there")
        worker.release()
        self._wait(lambda: worker.said(" started!"), *self._children)  # its name before that may be coloured
        self._say("the worker has started")
        self._wait(lambda: is_there(self._results), *self._children)
        served = Served(self._url, self._environment()[RESULTS_URL], str(self._home), os.getpid(), socket.gethostname())
        for file in write_record(served, self._folder):
            self._ending.callback(file.unlink, missing_ok=True)
        self._say(f"results are on {served.results}")
        self._say(f"ready: open {self._url}, choose a deployment, Run, Custom run. Ctrl-C ends everything.")

    def _child(self, name: str, module: str, *arguments: str, gated: bool = False) -> Child:
        child = Child(name, ["-m", module, *arguments], self._environment(), self._logs / f"{name}.log", gated=gated)
        self._children.append(child)
        return child

    def _environment(self) -> dict[str, str]:
        found = os.environ | settings_of(self._home, os.environ) | {API_URL: self._api, RESULTS_HOME: str(self._home / RESULTS)}
        found["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] = LEASES
        found["PWD"] = str(self._folder)  # prefect.yaml has runs work there; whoever started us may have left another
        found.setdefault(RESULTS_URL, self._results_as_browsers_see_them())
        if self._password:
            found[SERVER_AUTH] = self._password
            found.setdefault(CLIENT_AUTH, self._password)  # the worker and its runs are to get in
        return found

    def _results_as_browsers_see_them(self) -> str:
        """Return the address of the results: on the host of the UI where that is known, as no browser elsewhere reaches 0.0.0.0."""
        if self._host not in EVERYWHERE:
            return self._results
        host = urlsplit(os.environ.get("PREFECT_UI_URL", "")).hostname
        return web_address(host or socket.gethostname(), self._results_port)

    def _wait(self, what: Callable[[], bool], *children: Child) -> None:
        """Wait for something that needs these processes.

        Raises:
            ServerError: One of them ended, or it takes too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not what():
            for child in children:
                if child.ended() and not what():
                    raise child.failure()
            if time.monotonic() > deadline:
                raise ServerError(children[0].name, f"it to be ready within {START_SECONDS} s", "nothing", f"See {children[0].log}.")
            time.sleep(0.1)

    def _end(self) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)  # a second Ctrl-C is not to leave half of it at work
        self._ending.close()
        if self._children:
            print(f"\nless-flow: stopping {', '.join(child.name for child in reversed(self._children))}", flush=True)
        for child in reversed(self._children):  # the worker before the server, so that it can say what became of its runs
            child.stop()

    def _say(self, what: str) -> None:
        print(f"less-flow: {time.monotonic() - self._began:5.1f} s  {what}", flush=True)

    def _check_alone(self) -> None:
        served = read_record(self._home)
        if served and is_healthy(served.api):
            do = "Open that, stop it first, or name another folder with --home."
            raise ConfigError(str(self._home), "a home that is not being served", f"one served on {served.url}", do)

    def _warn(self) -> None:
        if not is_loopback(self._host) and not self._password:
            reached = f"{self._host}:{self._port}"
            print(f"\nless-flow: WARNING: anyone who reaches {reached} can run code here. Set {SERVER_AUTH}=user:password.\n", flush=True)
        if count := forgotten_schedules(self._home):
            print(f"\nless-flow: WARNING: {OF_PREFECT}, where schedules were kept so far, has {count} active in the pool `{POOL}`.")
            print(f"This home is new and empty. `less-flow serve --home {OF_PREFECT}` goes on with the old one.\n", flush=True)


def _check_project(folder: Path) -> None:
    file = folder / PROJECT
    if not file.is_file():
        raise ConfigError(str(folder), f"a folder with {PROJECT}", "none", "Run this in the project's folder.")
    try:
        project = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(str(file), "YAML", " ".join(str(error).split()), "Mend it.") from None
    if not isinstance(project, dict) or not project.get("deployments"):
        raise ConfigError(str(file), "a list `deployments`", "none", "Mend it, or take the file of this project.")


def _check_free(host: str, port: int, option: str) -> None:
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as found:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do; a port just left counts as free
                found.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            do = f"Stop what runs there, or choose another with {option}."
            raise ConfigError(f"{option} {port}", "a free port", f"one in use on {host}", do) from None
        do = f"Choose others with --host and {option}."
        raise ConfigError(f"{host}:{port}", "an address to bind", error.strerror or str(error), do) from None


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
