"""The files that a path names: one file, those of a folder, or of a pattern. Light, so that a wrong path is said within seconds."""

import errno
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from less_core.errors import DataError
from less_core.files.file_systems import asking
from less_core.settings.select import absolute_path

LINES = (".jsonl", ".ndjson")
TABLES = {".json": "json", ".parquet": "parquet"}
KNOWN = (*LINES, *TABLES)
MAGIC = "*?["  # what makes a path a pattern
CHECK_PATH = "Check the path."


def find_files(path: str) -> dict[str, str]:
    """Return the addresses of a path's files by their names within it: of the file itself, or of those in a folder or pattern.

    Hidden files, and in folders those of unknown kinds, are left out.

    Raises:
        DataError: There is none.
    """
    try:
        file_system, inner = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:  # no such protocol, or its package is not installed
        raise DataError(path, "an address that fsspec can open", first_line(error), "Check what stands before `://`.") from None
    with asking(path):
        kind = _kind(file_system, inner)
        if kind == "file":
            return {PurePosixPath(inner).name: path}
        if kind == "directory":
            found, root = file_system.find(inner), inner
        elif any(c in path for c in MAGIC):
            try:
                found = [name for name in file_system.glob(inner) if not file_system.isdir(name)]
            except ValueError as error:
                raise DataError(path, "a pattern such as part-*.jsonl or **/*.parquet", first_line(error), CHECK_PATH) from None
            root = inner[: min(inner.index(c) for c in MAGIC if c in inner)].rpartition("/")[0]
        else:
            raise DataError(path, "a file, a folder or a pattern", f"nothing at {absolute_path(path)}", CHECK_PATH)
    names = {str(PurePosixPath(name).relative_to(root)): name for name in found}
    names = {n: a for n, a in names.items() if not any(part.startswith(".") for part in PurePosixPath(n).parts)}
    local = isinstance(file_system, LocalFileSystem)
    for place in names.values() if local else ():
        if Path(place).is_dir():
            raise DataError(place, "a file or a folder", "a link to a folder, whose files would be left out", "Name that folder instead.")
    names = {n: a for n, a in names.items() if suffix_of(n) in KNOWN}
    if not names:
        raise DataError(path, f"files that end in {', '.join(KNOWN)}", "none", CHECK_PATH)
    for name, place in names.items():
        if not name.isprintable():
            raise DataError(path, "files with names of printable characters", repr(name), "Rename the file.")
        if local and not Path(place).is_file():  # what is read from a pipe would never end
            raise DataError(place, "a file", "a link that leads to none, or something else", "Mend or remove it.")
    protocol = path.partition("://")[0] + "://" if "://" in path else ""
    return {name: f"{protocol}{place.removeprefix(protocol)}" for name, place in names.items()}


def _kind(file_system: Any, inner: str) -> str:
    """Return file, directory, or something else; nothing where nothing is there. `isfile` would take a fault for that, too."""
    try:
        return str(file_system.info(inner)["type"])
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return ""
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):  # no file can have that name, or the link leads to itself
            return ""
        raise


def suffix_of(name: str) -> str:
    """Return the ending of a file's name in lower case, with its dot."""
    return PurePosixPath(name).suffix.lower()


def first_line(error: BaseException) -> str:
    """Return an exception's kind and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error).strip() else 'no message'}"
