"""The versions of a selection: each kept in a folder of its own, the newest published in one step."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import fsspec

from less_core.errors import ConfigError, MissingArtifactError
from less_core.files.whole import exists, list_folders, read_bytes, write_whole
from less_core.storage.layout import PUBLISHED, Run, Version


def new_version(run: Run) -> Version:
    """Return a version that no one else writes to, named so that names sort by time.

    Raises:
        ConfigError: Something that is not a link of ours stands where the version would be published.
    """
    for name in PUBLISHED if _is_local(run) else ():
        place = Path(run.root) / name
        if place.exists() and not place.is_symlink():
            raise ConfigError(str(place), "a link to a version, or nothing", "a file or folder", "Move it away, or choose another name.")
    now = datetime.now(UTC)
    within = now.microsecond * 256 // 1_000_000  # versions of one second sort by time, too: the newest ones are kept
    return run.version(f"{now:%Y%m%dT%H%M%SZ}-{within:02x}{secrets.token_hex(1)}")


def list_runs(results: Sequence[str]) -> list[Run]:
    """Return all named selections and comparisons in folders of results."""
    return [Run(f"{folder.rstrip('/')}/{name}") for folder in results for name in list_folders(folder)]


def list_versions(run: Run) -> list[Version]:
    """Return the whole versions, oldest first; a version is whole once it has its record."""
    versions = [run.version(name) for name in list_folders(run.versions)]
    return [version for version in versions if exists(version.record)]


def current_version(run: Run) -> Version | None:
    """Return the published version; None before the first."""
    if _is_local(run):
        link = Path(run.current)
        return run.version(link.readlink().name) if link.is_symlink() else None
    try:
        return run.version(read_bytes(run.current, made_by="a selection").decode().strip())
    except MissingArtifactError:
        return None


def publish(run: Run, version: Version) -> None:
    """Make a whole version the newest.

    In a local folder one link is replaced and all names change at once: whoever opens ``selected/<target>.jsonl`` finds a whole file,
    and files of one version. Object stores have no links: files are copied one by one, each whole or not there, and `current` last.
    """
    if _is_local(run):
        _point(run.current, f"versions/{version.name}")
        for name in PUBLISHED:
            if exists(f"{version.root}/{name}"):
                _point(f"{run.root}/{name}", f"current/{name}")
            else:
                Path(run.root, name).unlink(missing_ok=True)
    else:
        _copy(run, version)


def _point(link: str, to: str) -> None:
    """Make a link, or replace it in one step."""
    temporary = Path(f"{link}.{secrets.token_hex(4)}.tmp")
    temporary.symlink_to(to)
    temporary.replace(link)


def unfinished_links(run: Run, until: float) -> list[str]:
    """Return links that a process which was killed left half made; `until`: not changed since, in seconds since the epoch."""
    if not _is_local(run):
        return []
    return [str(link) for link in sorted(Path(run.root).glob("*.tmp")) if link.is_symlink() and link.lstat().st_mtime <= until]


def _copy(run: Run, version: Version) -> None:
    file_system, root = fsspec.core.url_to_fs(run.root)
    source = fsspec.core.url_to_fs(version.root)[1]
    files = [name.removeprefix(source + "/") for name in file_system.find(source)]
    wanted = [name for name in files if name.partition("/")[0] in PUBLISHED]
    for name in wanted:
        file_system.cp_file(f"{source}/{name}", f"{root}/{name}")
    for folder in PUBLISHED:
        for old in file_system.find(f"{root}/{folder}"):
            if old.removeprefix(root + "/") not in wanted:
                file_system.rm_file(old)
    with write_whole(run.current) as file:
        file.write(version.name.encode())


def _is_local(run: Run) -> bool:
    return "://" not in run.root
