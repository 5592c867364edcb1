"""One file of rows, or one split of a hub data set: its rows in order, and any of them again."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import datasets
import fsspec

from less_core.errors import DataError
from less_core.fingerprint import fingerprint

LINES = (".jsonl", ".ndjson")
TABLES = {".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True)
class Row:
    """Where a row stands, and its value; `fault` says why there is none."""

    file: str  # name of its file within the pool
    index: int  # number of the line or row in the file, from 0
    offset: int  # what `read` finds it by
    value: object
    fault: str = ""


class RowFile(Protocol):
    """Rows in order, and any row again by its offset."""

    address: str

    def rows(self) -> Iterator[Row]: ...

    def read(self, offset: int) -> bytes:
        """Return the row at `offset` as JSON, byte for byte as the file has it where the file is JSON lines."""
        ...

    def digest(self) -> str:
        """Return the address of the content, without reading rows: of the bytes, or what a remote system vouches for."""
        ...


class JsonLines:
    """JSON lines, read by ourselves because a selection gives back the very bytes and errors name the line."""

    def __init__(self, address: str, name: str) -> None:
        self.address = address
        self._name = name

    @cached_property
    def _local(self) -> str:
        # A remote file is fetched once: rows are read again at random.
        return str(fsspec.open_local(f"filecache::{self.address}")) if "://" in self.address else self.address

    def rows(self) -> Iterator[Row]:
        offset = 0
        with open(self._local, "rb") as file:
            for index, line in enumerate(file):
                text = line.removeprefix(b"\xef\xbb\xbf") if index == 0 else line
                if text.strip():
                    yield self._parse(index, offset + len(line) - len(text), text)
                offset += len(line)

    def read(self, offset: int) -> bytes:
        with open(self._local, "rb") as file:
            file.seek(offset)
            return file.readline().rstrip(b"\r\n")

    def digest(self) -> str:
        return file_digest(self.address)

    def _parse(self, index: int, offset: int, text: bytes) -> Row:
        try:
            return Row(self._name, index, offset, json.loads(text))
        except UnicodeDecodeError:
            fault = "bytes that are not UTF-8"
        except RecursionError:
            fault = "JSON nested too deep"
        except ValueError as error:
            fault = f"{text[:60].decode(errors='replace').strip()!r} ({error})"
        return Row(self._name, index, offset, None, fault)


class TableRows:
    """A data set that the library `datasets` reads: JSON, Parquet, the hub. Rows are written back as JSON."""

    def __init__(self, address: str, name: str, loader: str, **arguments: Any) -> None:
        self.address = address
        self._name = name
        self._loader = loader
        self._arguments = arguments

    @cached_property
    def _table(self) -> Any:
        try:
            return datasets.load_dataset(self._loader, **self._arguments)
        except Exception as error:  # whatever a reader or the hub raises, the user needs the file's name
            raise DataError(
                self.address, "a data set that `datasets` can load", first_line(error), "Check the file or the name, and the split."
            ) from error

    def rows(self) -> Iterator[Row]:
        for index, value in enumerate(self._table):
            yield Row(self._name, index, index, value)

    def read(self, offset: int) -> bytes:
        return json.dumps(self._table[offset], ensure_ascii=False, default=str).encode()

    def digest(self) -> str:
        return file_digest(self.address) if "data_files" in self._arguments else fingerprint(self._table._fingerprint)


def file_digest(address: str) -> str:
    """Return the address of a file's bytes; of a remote one's, what its system says of it (an ETag, or size and time)."""
    if "://" in address:
        file_system, inner = fsspec.core.url_to_fs(address)
        return fingerprint(str(file_system.ukey(inner)))
    with open(address, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_line(error: Exception) -> str:
    """Return an exception's kind and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error).strip() else 'no message'}"
