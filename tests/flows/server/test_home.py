"""Where a server keeps its database, and what is said about an older one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flows.server.home import forgotten_schedules, home_of_command, home_to_serve, settings_of
from flows.server.names import HOME, PROFILES

SCHEMA = """
CREATE TABLE work_pool (id TEXT, name TEXT);
CREATE TABLE work_queue (id TEXT, work_pool_id TEXT);
CREATE TABLE deployment (id TEXT, work_queue_id TEXT);
CREATE TABLE deployment_schedule (deployment_id TEXT, active BOOLEAN);
INSERT INTO work_pool VALUES ('p', 'less'), ('q', 'other');
INSERT INTO work_queue VALUES ('a', 'p'), ('b', 'q');
INSERT INTO deployment VALUES ('mine', 'a'), ('theirs', 'b');
INSERT INTO deployment_schedule VALUES ('mine', 1), ('mine', 1), ('mine', 0), ('theirs', 1);
"""


@pytest.fixture
def of_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prefect's default home, of a person who has none yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / ".prefect"
    home.mkdir()
    return home


def test_two_projects_have_two_homes_and_what_is_named_comes_first(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert home_to_serve(one, None, {}) == one / ".less-flow"
    assert home_to_serve(other, None, {}) == other / ".less-flow"
    assert home_to_serve(one, None, {HOME: "/set"}) == Path("/set")
    assert home_to_serve(one, "/named", {HOME: "/set"}) == Path("/named")


def test_command_has_the_home_of_its_project_and_prefects_own_elsewhere(tmp_path: Path, of_prefect: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    assert home_of_command(project, {}) == of_prefect
    (project / "prefect.yaml").touch()
    assert home_of_command(project, {}) == project / ".less-flow"
    assert home_of_command(project, {HOME: "/set"}) == Path("/set")


def test_profiles_of_a_person_stay_in_use_in_a_home_of_its_own(of_prefect: Path, tmp_path: Path) -> None:
    assert PROFILES not in settings_of(tmp_path / "home", {})
    (of_prefect / "profiles.toml").touch()
    assert settings_of(tmp_path / "home", {}) == {HOME: str(tmp_path / "home"), PROFILES: str(of_prefect / "profiles.toml")}
    assert PROFILES not in settings_of(tmp_path / "home", {PROFILES: "/set"})


def test_active_schedules_in_prefects_own_home_are_counted_for_a_new_home_alone(of_prefect: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert forgotten_schedules(home) == 0
    with closing(sqlite3.connect(of_prefect / "prefect.db")) as database:
        database.executescript(SCHEMA)
    assert forgotten_schedules(home) == 2
    assert forgotten_schedules(of_prefect) == 0
    (home / "prefect.db").touch()
    assert forgotten_schedules(home) == 0


def test_database_of_another_make_is_no_reason_to_stop(of_prefect: Path, tmp_path: Path) -> None:
    (of_prefect / "prefect.db").write_bytes(b"no database")
    assert forgotten_schedules(tmp_path / "home") == 0
