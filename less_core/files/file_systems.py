"""Object-store specifics, and how their errors map to `StorageError`."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from less_core.errors import ConfigError, StorageError, in_short

OBJECT_STORES = {"s3", "gs"}  # an object appears there when its upload is complete, and there is no renaming, only copying

_REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_LEAST = 1 << 16  # bytes: with less free than that, a disk is full
_DO = "Free some space, or see to the right to write there, and run again: what was finished is kept."

# Of a client that has nothing to show, or of one whose profile is not there; they have no class in common with a refusal by the server.
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"}

# What a folder holds is asked each time: others write there too, and a listing that a client keeps would hide what they wrote.
for _protocol in OBJECT_STORES:
    fsspec.config.conf.setdefault(_protocol, {})["use_listings_cache"] = False


def open_address(where: str, address: str) -> tuple[Any, str]:
    """Return the file system of an address that a user gave, and the path in it.

    Raises:
        ConfigError: Nothing can open it; names `where` it was given.
    """
    try:
        file_system, inner = fsspec.core.url_to_fs(address)
    except Exception as error:  # no such protocol, its package is not installed, or what its client raises
        raise ConfigError(where, "an address that fsspec can open", in_short(error), "Check what stands before `://`.") from error
    return file_system, inner


def is_object_store(file_system: Any) -> bool:
    """Tell whether a file system is one of objects."""
    protocol = file_system.protocol
    return not OBJECT_STORES.isdisjoint([protocol] if isinstance(protocol, str) else protocol)


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Write below a path, by whatever library.

    Raises:
        StorageError: The disk is full, over its quota or read-only, which does not pass by itself.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        # Libraries that write by themselves (safetensors, torch) lose the number of the error: then the disk is asked.
        if getattr(error, "errno", None) not in _REFUSED and not _is_full(path):
            raise
        raise StorageError(path, "a disk with room that can be written", in_short(error), _DO) from error


def _is_full(path: str) -> bool:
    """Tell whether nothing is left of the disk that a path is on, or would be."""
    if "://" in path:
        return False
    found = next(place for place in (Path(path).absolute(), *Path(path).absolute().parents) if place.exists())
    return shutil.disk_usage(found).free < _LEAST


@contextmanager
def asking(address: str) -> Iterator[None]:
    """Ask a file system about an address.

    Raises:
        StorageError: It refuses. That does not pass by itself, so that no task tries again.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, PermissionError) and type(error).__name__ not in _NO_CREDENTIALS:
            raise
        raise StorageError(
            address, "leave to read and write there", in_short(error), "Check the rights, and for a URL the credentials."
        ) from error
