"""What a user's settings of Prefect say, read in all the places that Prefect reads, without importing it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dotenv

from flows.server.home import OF_PREFECT
from flows.server.names import API_URL, HOME, PROFILES, SERVER_AUTH

IN_TOML = {API_URL: ("api", "url"), SERVER_AUTH: ("server", "api", "auth_string")}  # by the variable that says the same


def find_setting(variable: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Return a setting of `IN_TOML`; empty where it is not set.

    Args:
        variable: Its name as an environment variable.
        folder: The folder that a command runs in.
        environment: Environment variables.
    """
    profiles = _read_toml(_profiles_file(environment))
    active = environment.get("PREFECT_PROFILE") or profiles.get("active")
    found = (
        environment.get(variable),
        dotenv.dotenv_values(folder / ".env").get(variable),
        _lookup(profiles, "profiles", active, variable),
        _lookup(_read_toml(folder / "prefect.toml"), *IN_TOML[variable]),
        _lookup(_read_toml(folder / "pyproject.toml"), "tool", "prefect", *IN_TOML[variable]),
    )
    return next((str(value) for value in found if value), "")


def _profiles_file(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get(HOME) or OF_PREFECT).expanduser()
    return Path(environment.get(PROFILES) or home / "profiles.toml")


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError):  # not there, or nothing that Prefect could read either
        return {}


def _lookup(value: Any, *keys: str | None) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
