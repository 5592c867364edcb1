"""The command line in a process of its own, as a user starts it."""

import os
import sys
from pathlib import Path

import yaml

from less_core.settings.select import SelectSettings


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flows.cli.main", *arguments]


def environment(api_url: str) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return os.environ | {"PREFECT_API_URL": api_url, "PYTHONPATH": root}


def write_config(settings: SelectSettings, path: Path) -> Path:
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    return path
