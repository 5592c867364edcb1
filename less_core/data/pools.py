"""The rows of a pool or target: of one file, of a folder or pattern of files, or of a hub data set."""

import glob
import json
from collections.abc import Iterator, Mapping

from less_core.data.example import Example
from less_core.data.rows.files import JsonLines, Row, RowFile, TableRows
from less_core.data.rows.paths import KNOWN, LINES, TABLES, find_files, suffix_of
from less_core.data.rows.shapes import Shape, to_example
from less_core.errors import DataError
from less_core.files.fingerprint import fingerprint
from less_core.settings.select import SelectSettings


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


def open_pool(settings: SelectSettings, name: str) -> RowSource:
    """Open the pool of that name."""
    pool = settings.pool(name)
    return open_rows(settings.data_path(pool.path), hub=pool.hub, split=pool.split)


def read_example(source: RowSource, file: str, offset: int, shape: Shape) -> Example:
    """Return the example in a pool's row that was indexed before."""
    return to_example(json.loads(source.read(file, offset)), shape)


def _open_file(address: str, name: str) -> RowFile:
    suffix = suffix_of(name)
    if suffix in LINES:
        return JsonLines(address, name)
    if suffix in TABLES:
        # Escaped: `datasets` would take a name with `?` or `[` for a pattern.
        return TableRows(address, name, TABLES[suffix], data_files=glob.escape(address), split="train")
    do = "Convert or rename the file; unpack compressed files first."
    raise DataError(address, f"a file that ends in {', '.join(KNOWN)}", suffix or "no ending", do)
