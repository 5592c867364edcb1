"""Which server a command reports to, and what it says where there is none, in a process of its own as a user runs it."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows.server.connection import connect
from flows.server.names import API_URL, CLIENT_AUTH, HOME, RESULTS_URL
from flows.server.record import Served, find_served, write_record
from flows.server.settings import find_setting
from less_core.errors import ConfigError

ROOT = Path(__file__).parents[3]
WAITED = 60  # seconds; as a server was waited for, it took more than two minutes


class Answers(BaseHTTPRequestHandler):
    """A Prefect server's answers to whoever looks for it. Its password is `team:secret`."""

    def do_GET(self) -> None:
        allowed = self.path == "/api/health" or self.headers.get("Authorization") == "Basic dGVhbTpzZWNyZXQ="
        self.send_response(200 if allowed else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A service at work whose home is that of the project `tmp_path`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    found = Served(url, "http://127.0.0.1:1", str(tmp_path / ".less-flow"), os.getpid(), socket.gethostname())
    write_record(found, tmp_path)
    yield found
    server.shutdown()
    server.server_close()


def run_command(folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "flows.cli.main", "reselect", "nothing"]
    inherited = clean | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, timeout=WAITED, check=False)


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    assert done.returncode == code, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(words in done.stderr for words in said), done.stderr


def test_home_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    home = str(tmp_path / "file" / "home")  # the rights of a folder are nothing to root, who runs some tests
    assert_one_line(run_command(tmp_path, {"HOME": home}), 2, home, HOME)
    assert_one_line(run_command(tmp_path, {HOME: home}), 2, home, HOME)


def test_server_that_is_down_is_said_in_one_line_with_its_address(tmp_path: Path) -> None:
    assert_one_line(run_command(tmp_path, {API_URL: "http://127.0.0.1:9/api"}), 1, "http://127.0.0.1:9/api", f"unset {API_URL}")


def test_help_and_plan_ask_for_no_server(tmp_path: Path) -> None:
    environment = os.environ | {API_URL: "http://127.0.0.1:9/api", "PYTHONPATH": str(ROOT), "HOME": "/proc/none"}
    for arguments, code in ((["--help"], 0), (["plan", "missing.yaml"], 2)):
        command = [sys.executable, "-m", "flows.cli.main", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=WAITED, check=False)
        assert done.returncode == code
        assert "127.0.0.1:9" not in done.stderr
        assert "/proc/none" not in done.stderr


def test_command_finds_the_service_of_its_folder_and_says_so(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {CLIENT_AUTH: "team:secret"}
    connect(tmp_path, environment)
    assert environment[API_URL] == served.api
    assert environment[RESULTS_URL] == served.results
    assert capsys.readouterr().err == f"less-flow: shown on {served.url}\n"
    with pytest.raises(ConfigError, match=CLIENT_AUTH):
        connect(tmp_path, {})


def test_service_is_found_by_its_home_from_another_folder(served: Served, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert find_served(elsewhere, {}) is None
    assert find_served(elsewhere, {HOME: served.home}) == served


def test_service_with_a_home_elsewhere_is_found_in_its_folder(tmp_path: Path, served: Served) -> None:
    project = tmp_path / "project"
    files = write_record(served, project)
    assert files == [Path(served.home) / "server.json", project / ".less-flow" / "server.json"]
    assert find_served(project, {}) == served


def test_server_that_the_environment_names_comes_first(served: Served, tmp_path: Path) -> None:
    environment = {API_URL: f"{served.api}/", HOME: str(tmp_path)}
    connect(tmp_path, environment)
    assert environment[API_URL] == f"{served.api}/"


@pytest.mark.parametrize("changed", [{"pid": 2**22 + 1}, {"machine": "elsewhere"}, {"url": "http://192.0.2.1:4200"}, {"url": "x"}])
def test_record_that_is_stale_or_of_another_machine_is_ignored(served: Served, tmp_path: Path, changed: dict[str, object]) -> None:
    file = tmp_path / ".less-flow" / "server.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | changed))
    assert find_served(tmp_path, {}) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"url": 1}', b"\xff"])
def test_record_that_cannot_be_read_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".less-flow").mkdir()
    (tmp_path / ".less-flow" / "server.json").write_bytes(content)
    assert find_served(tmp_path, {}) is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (".env", "PREFECT_API_URL=http://named/api"),
        ("home/profiles.toml", 'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://named/api"'),
        ("prefect.toml", '[api]\nurl = "http://named/api"'),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://named/api"'),
    ],
)
def test_server_is_looked_for_where_prefect_looks(tmp_path: Path, file: str, content: str) -> None:
    environment = {HOME: str(tmp_path / "home")}
    assert find_setting(API_URL, tmp_path, environment) == ""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    assert find_setting(API_URL, tmp_path, environment) == "http://named/api"
    code = "from prefect.settings import PREFECT_API_URL; print(PREFECT_API_URL.value())"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | environment
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "http://named/api"
