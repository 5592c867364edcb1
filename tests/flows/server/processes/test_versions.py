"""Versions that must not be served together."""

import pytest

from flows.server.processes import versions
from less_core.errors import ConfigError


@pytest.mark.parametrize(("prefect", "database"), [("3.8.8", "2.0.58"), ("3.9.1", "2.0.58"), ("3.9.1", "2.1.9")])
def test_versions_whose_schedules_make_runs_are_served(monkeypatch: pytest.MonkeyPatch, prefect: str, database: str) -> None:
    monkeypatch.setattr(versions, "version", {"prefect": prefect, "sqlalchemy": database}.get)
    versions.check_versions()


def test_versions_whose_schedules_make_no_runs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "version", {"prefect": "3.8.8", "sqlalchemy": "2.1.9"}.get)
    with pytest.raises(ConfigError, match="whose schedules make no runs"):
        versions.check_versions()
