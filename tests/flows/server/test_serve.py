"""What `less-flow serve` refuses before it starts anything, each in one line."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REFUSED = 2
WAITED = 60  # seconds


def serve(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli.main", "serve", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=WAITED, check=False)


def assert_refused(done: subprocess.CompletedProcess[str], *said: str) -> None:
    assert done.returncode == REFUSED, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert all(words in line for words in said), line


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text())
    return tmp_path


def test_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    assert_refused(serve(tmp_path), "prefect.yaml", str(tmp_path))


@pytest.mark.parametrize("content", ["a: [", "- a", "deployments: []", "\x00"])
def test_project_file_that_is_broken_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "prefect.yaml").write_text(content)
    assert_refused(serve(tmp_path), str(tmp_path / "prefect.yaml"), "Mend it")
    assert not (tmp_path / ".less-flow").exists()


@pytest.mark.parametrize("option", ["--port", "--results-port"])
def test_port_in_use_is_named_with_its_option_and_the_address_stands_in_the_first_line(project: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = str(used.getsockname()[1])
        other = ["--port", "1025"] if option == "--results-port" else []
        done = serve(project, option, port, *other)
    assert_refused(done, f"{option} {port}", "in use")
    assert f"http://127.0.0.1:{other[1] if other else port};" in done.stdout.splitlines()[0]


def test_host_that_is_not_of_this_machine_is_refused(project: Path) -> None:
    assert_refused(serve(project, "--host", "192.0.2.1"), "192.0.2.1:4200", "--host")


def test_home_that_cannot_be_written_is_refused(project: Path) -> None:
    (project / "file").touch()
    assert_refused(serve(project, "--home", str(project / "file" / "home")), str(project / "file" / "home"), "--home")


def test_make_serve_hands_on_port_and_host_of_its_command_line_alone() -> None:
    def said(*arguments: str) -> str:
        of_make = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # these tests may run within a make of their own
        environment = {key: value for key, value in os.environ.items() if key not in of_make}
        environment |= {"HOST": "exported-by-a-shell", "PORT": "1"}
        command = ["make", "--dry-run", "--old-file=.venv/.done", "--assume-old=setup", "serve", *arguments]
        return (
            subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
        )

    assert said().split("less-flow ")[1].split() == ["serve"]
    assert said("PORT=4300", "HOST=0.0.0.0").split("less-flow ")[1].split() == ["serve", "--port", "4300", "--host", "0.0.0.0"]
