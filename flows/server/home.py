"""The folder where a server keeps its database, logs and what it knows of results: one for each project."""

import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from flows.server.names import HOME, POOL, PROFILES, PROJECT
from less_core.errors import ConfigError

OWN = ".less-flow"  # in the project's folder
DATABASE = "prefect.db"
RESULTS = "results"  # folder of a home: which folders of results are known
OF_PREFECT = Path("~/.prefect")  # Prefect's own default


def home_to_serve(folder: Path, named: str | None, environment: Mapping[str, str]) -> Path:
    """Return the home of a server for the project in a folder: the named one, else $PREFECT_HOME, else the project's own."""
    return Path(named or environment.get(HOME) or folder / OWN).expanduser().resolve()


def home_of_command(folder: Path, environment: Mapping[str, str]) -> Path:
    """Return the home of the server that a command starts for itself; outside a project it is Prefect's default."""
    if environment.get(HOME) or (folder / PROJECT).exists() or (folder / OWN).exists():
        return home_to_serve(folder, None, environment)
    return OF_PREFECT.expanduser()


def settings_of(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make a home Prefect's. A person's profiles stay in use, although they are kept in the default home."""
    profiles = OF_PREFECT.expanduser() / "profiles.toml"
    if PROFILES in environment or HOME in environment or not profiles.exists():
        return {HOME: str(home)}
    return {HOME: str(home), PROFILES: str(profiles)}


def make_home(home: Path, do: str) -> None:
    """Make a home where there is none.

    Raises:
        ConfigError: It cannot be written; `do` says what else can be done.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise ConfigError(str(home), "a folder that the Prefect server can write", error.strerror or str(error), do) from None


def forgotten_schedules(home: Path) -> int:
    """Return how many active schedules of our work pool Prefect's default home has; 0 where this home has a database already.

    Until homes were kept apart, `less-flow serve` kept its schedules there.
    """
    other = OF_PREFECT.expanduser()
    if (home / DATABASE).exists() or other == home or not (other / DATABASE).is_file():
        return 0
    active = (
        "SELECT count(*) FROM deployment_schedule AS s JOIN deployment AS d ON d.id = s.deployment_id "
        "JOIN work_queue AS q ON q.id = d.work_queue_id JOIN work_pool AS p ON p.id = q.work_pool_id WHERE s.active AND p.name = ?"
    )
    try:
        with closing(sqlite3.connect(f"{(other / DATABASE).as_uri()}?mode=ro", uri=True)) as database:
            return int(database.execute(active, [POOL]).fetchone()[0])
    except sqlite3.Error:  # of another version of Prefect, or at work
        return 0
