"""The moment at which a run rests: the signal to its main thread and Prefect's own pause may come together."""

import signal
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.exceptions import Pause

from flows.run import pausing


class _Silent:
    """A server that knows no run."""

    def __getattr__(self, name: str) -> Any:
        raise ConnectionError(name)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> list[pausing._Watch]:
    """The watches that are made, none of which looks at a server or ends this process."""
    made: list[pausing._Watch] = []
    run = SimpleNamespace(id=uuid4(), parent_task_run_id=None)
    monkeypatch.setattr(pausing, "get_run_context", lambda: SimpleNamespace(flow_run=run))
    monkeypatch.setattr(pausing._Watch, "look", lambda watch: made.append(watch))
    monkeypatch.setattr(pausing, "_after", lambda seconds, do: None)
    monkeypatch.setattr(pausing.atexit, "register", lambda do: None)
    monkeypatch.setattr(pausing.WORK, "stop", threading.Event())  # else no later test of this process would compute anything
    return made


def rest(watch: pausing._Watch) -> None:
    """Let a run rest from another thread, as the one that looks for a pause does."""
    thread = threading.Thread(target=watch._rest, args=(_Silent(),))
    thread.start()
    thread.join()


def work_until_paused(watches: list[pausing._Watch]) -> None:
    with pausing.resting_when_paused():
        rest(watches[0])
        threading.Event().wait(10)


def test_pause_that_is_seen_leaves_the_block(watch) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(Pause):
        work_until_paused(watch)
    assert signal.getsignal(signal.SIGUSR1) is before


@pytest.mark.parametrize("leaving", [None, Pause("Prefect's own"), ValueError("the work failed")], ids=["done", "paused", "failed"])
def test_pause_that_is_seen_as_the_run_leaves_sends_no_signal(leaving, watch, monkeypatch) -> None:
    # The signal would meet the handler of before, which ends the process: Prefect then calls the run crashed.
    sent: list[int] = []
    monkeypatch.setattr(signal, "pthread_kill", lambda thread, number: sent.append(number))
    with suppress(Pause, ValueError), pausing.resting_when_paused():
        if leaving is not None:
            raise leaving
    rest(watch[0])
    assert sent == []
