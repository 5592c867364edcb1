"""Locks between runs that share a store. They save work and are not needed for a right result: every file is written whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def lock(path: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a file that is about to be made; yield whether it was to be had, which is certain where we wait.

    The system lets go of a lock when its process dies, so one that was killed stands in no one's way. Remote stores have no locks: runs
    at the same time there do the same work once each.
    """
    if "://" in path:
        yield True
        return
    folder, _, name = path.rpartition("/")
    Path(folder).mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(f"{folder}/.{name}.lock", timeout=-1 if wait else 0)
    try:
        file_lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        Path(file_lock.lock_file).unlink(missing_ok=True)  # while it is held: who waits for it notices, and makes a new one
        file_lock.release()
