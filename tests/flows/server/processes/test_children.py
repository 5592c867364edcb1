"""Processes of the service: what is shown of one that fails, and how all of them end."""

import time
from pathlib import Path

import pytest

from flows.server.errors import ServerError
from flows.server.processes.children import SHOWN, Child


def child(tmp_path: Path, code: str, *, gated: bool = False) -> Child:
    return Child("worker", ["-c", code], {}, tmp_path / "worker.log", gated=gated)


def test_failing_process_shows_its_last_lines_whole_and_names_its_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [f"{number} " + "x" * 600 for number in range(100)]
    failing = child(tmp_path, f"print('\\n'.join({lines!r})); raise SystemExit(3)")
    failing.process.wait()
    with pytest.raises(ServerError, match=r"code 3.*worker\.log"):
        raise failing.failure()
    shown = capfd.readouterr().err.splitlines()
    assert shown[-SHOWN:] == lines[-SHOWN:]
    assert (tmp_path / "worker.log").read_text().splitlines() == lines


def test_process_that_does_not_stay_up_is_not_started_for_ever(tmp_path: Path) -> None:
    failing = child(tmp_path, "raise SystemExit(1)")
    failing.process.wait()
    failing.start_again()
    failing.process.wait()
    with pytest.raises(ServerError):
        failing.start_again()


def test_gated_process_waits_for_its_word(tmp_path: Path) -> None:
    waiting = child(tmp_path, "import sys; sys.stdin.readline(); print('went on')", gated=True)
    assert not waiting.said("went on")
    assert not waiting.ended()
    waiting.release()
    waiting.process.wait()
    assert waiting.said("went on")


def test_process_that_does_not_heed_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.server.processes.children.GRACE_SECONDS", 0.5)
    deaf = child(tmp_path, "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)")
    while not deaf.said("deaf"):
        time.sleep(0.05)
    deaf.stop()
    assert deaf.ended()


def test_log_of_the_last_start_is_kept_beside(tmp_path: Path) -> None:
    for word in ("first", "second"):
        child(tmp_path, f"print('{word}')").process.wait()
    assert (tmp_path / "worker.log").read_text() == "second\n"
    assert (tmp_path / "worker.last.log").read_text() == "first\n"
