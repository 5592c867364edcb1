"""The rows of a pool or target: of one file, of a folder or pattern of files, or of a hub data set."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import fsspec

from less_core.config import SelectSettings
from less_core.data.example import Example
from less_core.data.row_files import LINES, TABLES, JsonLines, Row, RowFile, TableRows, first_line
from less_core.data.shapes import Shape, to_example
from less_core.errors import DataError
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
    if file_system.isfile(inner):
        return {PurePosixPath(inner).name: path}
    protocol = path.partition("://")[0] + "://" if "://" in path else ""
    if file_system.isdir(inner):
        found, root = file_system.find(inner), inner
    elif any(c in path for c in MAGIC):
        found = [name for name in file_system.glob(inner) if file_system.isfile(name)]
        root = inner[: min(inner.index(c) for c in MAGIC if c in inner)].rpartition("/")[0]
    else:
        raise DataError(path, "a file, a folder or a pattern", "nothing there", _CHECK)
    names = {str(PurePosixPath(name).relative_to(root)): f"{protocol}{name.removeprefix(protocol)}" for name in found}
    names = {n: a for n, a in names.items() if _suffix(n) in KNOWN and not any(part.startswith(".") for part in PurePosixPath(n).parts)}
    if not names:
        raise DataError(path, f"files that end in {', '.join(KNOWN)}", "none", _CHECK)
    return names


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
        return TableRows(address, name, TABLES[suffix], data_files=address, split="train")
    do = "Convert or rename the file; unpack compressed files first."
    raise DataError(address, f"a file that ends in {', '.join(KNOWN)}", suffix or "no ending", do)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
