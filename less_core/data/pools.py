"""The rows of a pool or target: of one file, of a folder or pattern of files, or of a hub data set."""

import errno
import glob
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from less_core.config import SelectSettings
from less_core.data.example import Example
from less_core.data.row_files import LINES, TABLES, JsonLines, Row, RowFile, TableRows, first_line
from less_core.data.shapes import Shape, to_example
from less_core.errors import DataError
from less_core.file_systems import asking
from less_core.fingerprint import fingerprint

KNOWN = (*LINES, *TABLES)
MAGIC = "*?["  # what makes a path a pattern


class RowSource:
    """The rows of some files, in the order of the files' names.

    Args:
        where: Path, pattern or hub name, as the user gave it.
        files: By their names within the source.
    """

    def __init__(self, where: str, files: Mapping[str, RowFile]) -> None:
        self.where = where
        self._files = dict(sorted(files.items()))

    def rows(self) -> Iterator[Row]:
        for file in self._files.values():
            yield from file.rows()

    def read(self, file: str, offset: int) -> bytes:
        """Return the row at `offset` of a file as JSON, byte for byte as the file has it where the file is JSON lines."""
        return self._files[file].read(offset)

    def place(self, row: Row) -> str:
        """Return where a row stands, for a person."""
        return f"{self._files[row.file].address}, line {row.index + 1}"

    def digest(self) -> str:
        """Return the address of the source's content: equal digests, equal rows."""
        return fingerprint({name: file.digest() for name, file in self._files.items()})


def open_rows(path: str, *, hub: str = "", split: str = "train") -> RowSource:
    """Open a file of rows, all such files of a folder or of a pattern (``part-*.jsonl``, ``**/*.parquet``), or a split of a hub data set.

    Raises:
        DataError: Nothing is there, or a file is of an unknown kind.
    """
    if hub:
        where = f"{hub}[{split}]"
        return RowSource(where, {"": TableRows(where, "", hub, split=split)})
    return RowSource(path, {name: _open_file(address, name) for name, address in find_files(path).items()})


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
                raise DataError(path, "a pattern such as part-*.jsonl or **/*.parquet", first_line(error), _CHECK) from None
            root = inner[: min(inner.index(c) for c in MAGIC if c in inner)].rpartition("/")[0]
        else:
            raise DataError(path, "a file, a folder or a pattern", "nothing there", _CHECK)
    names = {str(PurePosixPath(name).relative_to(root)): name for name in found}
    names = {n: a for n, a in names.items() if not any(part.startswith(".") for part in PurePosixPath(n).parts)}
    local = isinstance(file_system, LocalFileSystem)
    for place in names.values() if local else ():
        if Path(place).is_dir():
            raise DataError(place, "a file or a folder", "a link to a folder, whose files would be left out", "Name that folder instead.")
    names = {n: a for n, a in names.items() if _suffix(n) in KNOWN}
    if not names:
        raise DataError(path, f"files that end in {', '.join(KNOWN)}", "none", _CHECK)
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


def open_pool(settings: SelectSettings, name: str) -> RowSource:
    """Open the pool of that name."""
    pool = settings.pool(name)
    return open_rows(settings.data_path(pool.path), hub=pool.hub, split=pool.split)


def read_example(source: RowSource, file: str, offset: int, shape: Shape) -> Example:
    """Return the example in a pool's row that was indexed before."""
    return to_example(json.loads(source.read(file, offset)), shape)


_CHECK = "Check the path; relative paths start at the data folder (`data_dir`)."


def _open_file(address: str, name: str) -> RowFile:
    suffix = _suffix(name)
    if suffix in LINES:
        return JsonLines(address, name)
    if suffix in TABLES:
        # Escaped: `datasets` would take a name with `?` or `[` for a pattern.
        return TableRows(address, name, TABLES[suffix], data_files=glob.escape(address), split="train")
    do = "Convert or rename the file; unpack compressed files first."
    raise DataError(address, f"a file that ends in {', '.join(KNOWN)}", suffix or "no ending", do)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
