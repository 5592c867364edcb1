"""The parts of a row that was written by others, and the place of one that is not as it should be."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from less_core.data.rows.shapes import BadRowError
from less_core.errors import DataError

MEND = "Mend it, or take the data as they were published."


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Turn a `BadRowError` within into the `DataError` that names the place."""
    try:
        yield
    except BadRowError as error:
        raise DataError(where, error.expected, error.got, error.do) from None


def text_in(row: object, key: str) -> str:
    """Return a row's text of that key, or raise the `BadRowError` that names the key."""
    return _part(row, key, str, "text")


def list_in(row: object, key: str) -> list[Any]:
    """Return a row's list of that key, or raise the `BadRowError` that names the key."""
    return _part(row, key, list, "a list")


def _part(row: object, key: str, kind: type, called: str) -> Any:
    value = row.get(key) if isinstance(row, Mapping) else row
    if not isinstance(row, Mapping) or not isinstance(value, kind):
        raise BadRowError(f"`{key}` to be {called}", repr(value)[:60], MEND)
    return value
