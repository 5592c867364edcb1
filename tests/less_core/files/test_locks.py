"""Locks of files about to be made: one holder, no one waits for the dead, nothing stays behind."""

import subprocess
import sys
import threading
from pathlib import Path

from less_core.files.locks import lock

HOLD = """
import sys, time
from less_core.files.locks import lock
with lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_second_is_told_that_the_lock_is_held_and_gets_it_afterwards(tmp_path: Path) -> None:
    path = f"{tmp_path}/folder/shard.parquet"
    with lock(path) as first:
        assert first
        found: list[bool] = []

        def ask() -> None:
            with lock(path) as had:
                found.append(had)

        other = threading.Thread(target=ask)
        other.start()
        other.join()
        assert found == [False]
    with lock(path) as had:
        assert had
    assert not list(Path(tmp_path, "folder").iterdir())


def test_who_waits_gets_the_lock_when_its_holder_lets_go(tmp_path: Path) -> None:
    path = f"{tmp_path}/shard.parquet"
    order: list[str] = []

    def second() -> None:
        with lock(path, lambda: None):
            order.append("second")

    with lock(path):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.5)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]


def test_waiting_ends_with_what_is_raised_meanwhile(tmp_path: Path) -> None:
    path = f"{tmp_path}/shard.parquet"
    raised: list[str] = []

    def stop() -> None:
        raise InterruptedError("stopped")

    def wait() -> None:
        try:
            with lock(path, stop):
                raised.append("never")
        except InterruptedError as error:
            raised.append(str(error))

    with lock(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(30)
    assert raised == ["stopped"]


def test_lock_of_a_killed_process_stands_in_no_ones_way(tmp_path: Path) -> None:
    path = f"{tmp_path}/shard.parquet"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with lock(path) as had:
        assert not had
    holder.kill()
    holder.wait()
    with lock(path) as had:
        assert had


def test_remote_file_has_no_lock(tmp_path: Path) -> None:
    with lock("memory://store/shard.parquet") as one, lock("memory://store/shard.parquet") as other:
        assert (one, other) == (True, True)
