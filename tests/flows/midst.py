"""What a selection leaves, byte for byte, and something that happens to it in its midst."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service import wait_for

from less_core.settings.select import SelectSettings
from less_core.storage.layout import run_of

Files = dict[str, tuple[bytes, int, int]]


def shards(settings: SelectSettings) -> Files:
    """Every whole shard of the store by its name, with its bytes, its time and its inode."""
    found = {}
    for kind in ("features", "influence"):
        for path in Path(settings.store).glob(f"{kind}/**/[!.]*.parquet"):
            found[str(path.relative_to(settings.store))] = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
    return found


def left(settings: SelectSettings) -> dict[str, bytes]:
    """Shards, scores and selected rows of a selection by their names."""
    published = run_of(settings).published
    found = {name: content for name, (content, _, _) in shards(settings).items()}
    return found | {
        what: Path(path).read_bytes() for what, path in (("scores", published.scores("t")), ("selected", published.selected("t")))
    }


@contextmanager
def at_shard(settings: SelectSettings, count: int, ready: Callable[[], object], act: Callable[[], None]) -> Iterator[Files]:
    """Within the block, act once the store has so many shards and something is ready; yield what the store had right after that."""
    kept: Files = {}
    failed: list[BaseException] = []

    def watch() -> None:
        try:
            wait_for(lambda: len(shards(settings)) >= count and ready())
            act()
            kept.update(shards(settings))
        except BaseException as error:
            failed.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield kept
    finally:
        watcher.join()
    assert not failed, failed
