"""Locks between runs that share a store. They save work and are not needed for a right result: every file is written whole."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

ASK_EVERY = 0.5  # seconds


@contextmanager
def lock(path: str, while_waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock of a file that is about to be made; yield whether it was to be had, which is certain where we wait.

    The system lets go of a lock when its process dies, so one that was killed stands in no one's way. Remote stores have no locks: runs
    at the same time there do the same work once each.

    Args:
        path: Of the file.
        while_waiting: Called twice a second until the lock is ours; what it raises ends the waiting. None: do not wait.
    """
    if "://" in path:
        yield True
        return
    folder, _, name = path.rpartition("/")
    Path(folder).mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(f"{folder}/.{name}.lock")
    if not _acquire(file_lock, while_waiting):
        yield False
        return
    try:
        yield True
    finally:
        Path(file_lock.lock_file).unlink(missing_ok=True)  # while it is held: who waits for it notices, and makes a new one
        file_lock.release()


def _acquire(file_lock: FileLock, while_waiting: Callable[[], None] | None) -> bool:
    while True:
        try:
            file_lock.acquire(timeout=ASK_EVERY if while_waiting else 0)
            return True
        except Timeout:
            if while_waiting is None:
                return False
            while_waiting()
