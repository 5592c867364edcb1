"""Treats a damaged or vanished file of the store as missing, so that it is computed again."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from less_core.errors import CorruptArtifactError, MissingArtifactError
from less_core.files.whole import set_aside

Found = TypeVar("Found")

logger = logging.getLogger(__name__)


def whole_or_none(read: Callable[[str], Found], path: str, *, record: str = "", mend: bool = True) -> Found | None:
    """Return what `read` makes of a file or a folder of the store; None where it is not there, or not whole.

    A file may vanish between listing and reading: another run sets it aside, or `less-flow store gc` deletes it.

    Args:
        read: Raises `MissingArtifactError` or `CorruptArtifactError` as the formats do.
        path: What it reads.
        record: The file whose presence marks a folder as whole. Empty for a single file.
        mend: Whether what is damaged is set aside, so that it is no longer found.
    """
    try:
        return read(path)
    except MissingArtifactError:
        return None
    except CorruptArtifactError as error:
        if mend:
            with suppress(FileNotFoundError):  # another run was faster
                logger.warning("%s Set aside as %s.", error, set_aside(record or path))
        return None
