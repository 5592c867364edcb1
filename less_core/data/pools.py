"""Reading the rows of a pool or target, one at a time or at random, each as it stands in its file."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

import datasets
import fsspec

from less_core.config import SelectSettings
from less_core.data.example import Example
from less_core.data.shapes import Shape, to_example
from less_core.errors import DataError

logger = logging.getLogger(__name__)

LINES = (".jsonl", ".ndjson")
TABLES = {".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True)
class Row:
    """Where a row stands, and its value; `fault` says why there is none."""

    index: int  # number of the line or row, from 0
    offset: int  # what `read` finds it by
    value: object
    fault: str = ""


class RowSource(Protocol):
    """Rows in order, and any row again by its offset."""

    where: str

    def rows(self) -> Iterator[Row]: ...

    def read(self, offset: int) -> bytes:
        """Return the row at `offset` as JSON, byte for byte as the file has it where the file is JSON lines."""
        ...


def open_rows(path: str, *, hub: str = "", split: str = "train") -> RowSource:
    """Open a file of rows, or a split of a hub data set.

    Raises:
        DataError: It is not there, cannot be read, or is of an unknown kind.
    """
    if hub:
        return TableRows(f"{hub}[{split}]", hub, split=split)
    suffix = PurePosixPath(path).suffix.lower()
    if suffix not in LINES and suffix not in TABLES:
        known = ", ".join([*LINES, *TABLES])
        raise DataError(
            path, f"a file that ends in {known}", suffix or "no ending", "Convert or rename the file; unpack compressed files first."
        )
    try:
        file_system, inner = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:  # no such protocol, or its package is not installed
        raise DataError(path, "an address that fsspec can open", _first_line(error), "Check what stands before `://`.") from None
    if not file_system.isfile(inner):
        kind = "a folder" if file_system.isdir(inner) else "nothing there"
        raise DataError(path, "a file", kind, "Check the path; relative paths start at the data folder (`data_dir`).")
    if suffix in LINES:
        return JsonLines(path)
    return TableRows(path, TABLES[suffix], data_files=path, split="train")


def open_pool(settings: SelectSettings, name: str) -> RowSource:
    """Open the pool of that name."""
    pool = settings.pool(name)
    return open_rows(settings.data_path(pool.path), hub=pool.hub, split=pool.split)


def open_target(settings: SelectSettings, name: str) -> RowSource:
    """Open the target of that name."""
    return open_rows(settings.data_path(settings.target(name).path))


def read_example(source: RowSource, offset: int, shape: Shape) -> Example:
    """Return the example in a pool's row that was indexed before."""
    return to_example(json.loads(source.read(offset)), shape)


class JsonLines:
    """JSON lines, read by ourselves because a selection gives back the very bytes and errors name the line."""

    def __init__(self, path: str) -> None:
        self.where = path
        # A remote file is fetched once: rows are read again at random.
        self._local = fsspec.open_local(f"filecache::{path}") if "://" in path else path

    def rows(self) -> Iterator[Row]:
        offset = 0
        with open(self._local, "rb") as file:
            for index, line in enumerate(file):
                text = line.removeprefix(b"\xef\xbb\xbf") if index == 0 else line
                if text.strip():
                    yield _parse(index, offset + len(line) - len(text), text)
                offset += len(line)

    def read(self, offset: int) -> bytes:
        with open(self._local, "rb") as file:
            file.seek(offset)
            return file.readline().rstrip(b"\r\n")


class TableRows:
    """A data set that the library `datasets` reads: JSON, Parquet, the hub. Rows are written back as JSON."""

    def __init__(self, where: str, name: str, **arguments: Any) -> None:
        self.where = where
        try:
            self._table = datasets.load_dataset(name, **arguments)
        except Exception as error:  # whatever a reader or the hub raises, the user needs the file's name
            raise DataError(
                where, "a data set that `datasets` can load", _first_line(error), "Check the file or the name, and the split."
            ) from error

    def rows(self) -> Iterator[Row]:
        for index, value in enumerate(self._table):
            yield Row(index, index, value)

    def read(self, offset: int) -> bytes:
        return json.dumps(self._table[offset], ensure_ascii=False, default=str).encode()


def _parse(index: int, offset: int, text: bytes) -> Row:
    try:
        return Row(index, offset, json.loads(text))
    except UnicodeDecodeError:
        return Row(index, offset, None, "bytes that are not UTF-8")
    except RecursionError:
        return Row(index, offset, None, "JSON nested too deep")
    except ValueError as error:
        return Row(index, offset, None, f"{text[:60].decode(errors='replace').strip()!r} ({error})")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error).strip() else 'no message'}"
