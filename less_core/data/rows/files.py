"""One file of rows, or one split of a hub data set: its rows in order, and any of them again."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, Protocol

import datasets
import fsspec

from less_core.data.rows.paths import first_line
from less_core.errors import DataError
from less_core.files.file_systems import asking
from less_core.files.fingerprint import fingerprint

DEEPEST = 100  # levels of JSON: what is read once is read again elsewhere, where less of the stack may be left
datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # else every file, local ones too, is told to the hub; offline that waits for seconds
_FETCHING = Lock()  # threads that fetch the same file at once would write over one another


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
        if "://" not in self.address:
            return self.address
        # A remote file is fetched once in a process, as long as it stays the same: rows are read again at random.
        with _FETCHING, asking(self.address):
            return str(fsspec.open_local(f"filecache::{self.address}", filecache={"check_files": True}))

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
            # Decoded here: of bytes, `json` would take UTF-16 and halves of surrogate pairs, which the selection must not hand on.
            value = json.loads(text.decode())
            if text.count(b"[") + text.count(b"{") <= DEEPEST or not _is_deep(value):
                return Row(self._name, index, offset, value)
            fault = _TOO_DEEP
        except UnicodeDecodeError:
            fault = "bytes that are not UTF-8"
        except RecursionError:
            fault = _TOO_DEEP
        except ValueError as error:
            fault = f"{text[:60].decode(errors='replace').strip()!r} ({str(error)[:200]})"
        return Row(self._name, index, offset, None, fault)


_TOO_DEEP = f"JSON nested too deep, in more than {DEEPEST} levels"


def _is_deep(value: object) -> bool:
    """Tell whether JSON is nested too deep."""
    level = [value]
    for _ in range(DEEPEST):
        level = [item for outer in level for item in _within(outer)]
    return any(isinstance(value, (dict, list)) for value in level)


def _within(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


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
            got = first_line(error.__cause__ or error)  # `datasets` says that something failed, its cause what
            do = "Check the file or the name, and the split."
            raise DataError(self.address, "a data set that `datasets` can load", got, do) from error

    def rows(self) -> Iterator[Row]:
        index = 0
        while index < len(self._table):
            try:
                for value in self._table.skip(index):
                    yield Row(self._name, index, index, value)
                    index += 1
            except Exception as error:  # a value that Python cannot hold: text that is not UTF-8, a year beyond 9999
                yield Row(self._name, index, index, None, first_line(error))
                index += 1

    def read(self, offset: int) -> bytes:
        return json.dumps(self._table[offset], ensure_ascii=False, default=str).encode()

    def digest(self) -> str:
        return file_digest(self.address) if "data_files" in self._arguments else fingerprint(self._table._fingerprint)


def file_digest(address: str) -> str:
    """Return the address of a file's bytes; of a remote one's, what its system says of it (an ETag, or size and time)."""
    if "://" in address:
        file_system, inner = fsspec.core.url_to_fs(address)
        with asking(address):
            return fingerprint(str(file_system.ukey(inner)))
    with open(address, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
