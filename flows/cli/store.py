"""Looking after a store on the command line: what in it is damaged, what no one needs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from less_core.errors import ConfigError
from less_core.files.whole import exists
from less_core.report.style.wording import plural, size
from less_core.storage.layout import Store
from less_core.storage.upkeep.garbage import delete as delete_garbage
from less_core.storage.upkeep.garbage import find_garbage
from less_core.storage.upkeep.verification import set_damage_aside, verify_results, verify_store


def verify(folder: str, runs: Sequence[str], *, set_aside: bool) -> int:
    """Print what of a store and of results is whole and what is not; return how many files or folders are not.

    Raises:
        ConfigError: There is no store, or no such results.
    """
    store = _store(folder)
    _check_results(runs, "Correct the address.")
    (read, damaged), (versions, more) = verify_store(store), verify_results(runs)
    read, damaged = read + versions, damaged + more
    _print_kinds((stored.kind, stored.size) for stored in read)
    for damage in damaged:
        print(f"damaged: {damage.reason}")
    for path in set_damage_aside(damaged) if set_aside else ():
        print(f"set aside: {path}")
    hint = "; --set-aside renames it, and the next run makes it anew" if damaged and not set_aside else ""
    print(f"{plural(len(read), 'thing')} read, {len(damaged)} damaged{hint}")
    return len(damaged)


def collect(folder: str, runs: Sequence[str], older_than: float, keep_versions: int, *, delete: bool) -> None:
    """Print what no version needs, and delete it where that is asked for.

    Raises:
        ConfigError: There is no store, or no folder of results: then all of the store would count as not needed.
        CorruptArtifactError: A version cannot be read.
    """
    store = _store(folder)
    _check_results(runs, "Name every folder of results with --runs: what is left out is taken to need nothing.")
    found = find_garbage(store, runs, older_than=older_than, keep_versions=keep_versions)
    for garbage in found:
        print(f"{garbage.kind}: {garbage.path}, {size(garbage.size)}")
    _print_kinds((garbage.kind, garbage.size) for garbage in found)
    if delete:
        delete_garbage(found)
    print(f"{plural(len(found), 'thing')} {'deleted' if delete else 'that --delete deletes'}, {size(sum(g.size for g in found))}")


def _print_kinds(found: Iterable[tuple[str, int]]) -> None:
    kinds: dict[str, list[int]] = defaultdict(list)
    for kind, number in found:
        kinds[kind].append(number)
    for kind, sizes in sorted(kinds.items()):
        print(f"{kind:20}{len(sizes):10,}{size(sum(sizes)):>12}")


def _check_results(runs: Sequence[str], do: str) -> None:
    for results in runs:
        if not exists(results):
            raise ConfigError("--runs", "a folder or URL of results", f"nothing at {results}", do)


def _store(folder: str) -> Store:
    if not exists(folder):
        raise ConfigError("--store", "a store", f"nothing at {folder}", "Name its folder or URL.")
    return Store(folder.rstrip("/"))
