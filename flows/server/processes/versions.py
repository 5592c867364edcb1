"""Versions of libraries that must not be served together."""

from importlib.metadata import version

from packaging.version import Version

from less_core.errors import ConfigError


def check_versions() -> None:
    """Refuse what is known to break without a word.

    Raises:
        ConfigError: Prefect before 3.9 with SQLAlchemy 2.1 or later: schedules make no runs, and nothing says so.
    """
    prefect, database = version("prefect"), version("sqlalchemy")
    if Version(prefect) < Version("3.9") and Version(database) >= Version("2.1"):
        got = f"Prefect {prefect} with SQLAlchemy {database}, whose schedules make no runs"
        do = "Do `pip install 'prefect>=3.9'`, or `pip install 'sqlalchemy<2.1'`."
        raise ConfigError("the Prefect server", "versions that work together", got, do)
