"""The record of a service that is at work, by which commands find it: `server.json`."""

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flows.server.home import OWN
from flows.server.names import HOME
from flows.server.processes.health import is_healthy
from less_core.errors import LessError
from less_core.files.whole import write_json

FILE = "server.json"


@dataclass(frozen=True)
class Served:
    """A service at work: the addresses of its UI and of its results, its home, and the process that keeps it."""

    url: str
    results: str
    home: str
    pid: int
    machine: str

    @property
    def api(self) -> str:
        return f"{self.url}/api"


def write_record(served: Served, folder: Path) -> list[Path]:
    """Write the record into the service's home, and into the project's own where that is another; return the files."""
    own = folder / OWN / FILE
    files = [Path(served.home) / FILE]
    write_json(str(files[0]), asdict(served))
    if own != files[0]:
        with suppress(OSError, LessError):  # a project's folder may be read-only
            write_json(str(own), asdict(served))
            files.append(own)
    return files


def find_served(folder: Path, environment: Mapping[str, str]) -> Served | None:
    """Return the service of a project's folder, or of $PREFECT_HOME; None where none is at work."""
    homes = [Path(environment[HOME])] if environment.get(HOME) else []
    for home in (*homes, folder / OWN):
        served = read_record(home)
        if served and is_healthy(served.api):
            return served
    return None


def read_record(home: Path) -> Served | None:
    """Return the record in a home; None where there is none, or one that a service left which is no more."""
    try:
        served = Served(**json.loads((home / FILE).read_bytes()))
        return served if _is_of_this_machine(served) else None
    except (OSError, ValueError, TypeError):
        return None


def _is_of_this_machine(served: Served) -> bool:
    """Tell whether a record can be true. A folder may come from elsewhere, and no command may be led to another machine by it."""
    if served.machine != socket.gethostname():
        return False
    with suppress(PermissionError):
        os.kill(served.pid, 0)
    host = urlsplit(served.url).hostname or ""
    for family, kind, protocol, _, address in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
        with socket.socket(family, kind, protocol) as found:
            found.bind(address)  # only addresses of this machine can be bound
    return True
