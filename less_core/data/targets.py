"""Targets: a few examples each of what the model should get good at, in subtasks."""

from dataclasses import dataclass

from less_core.data.example import Example
from less_core.data.pools import RowSource
from less_core.data.shapes import BadRowError, to_target_example
from less_core.errors import DataError


@dataclass(frozen=True)
class Target:
    """A target's examples, each with its subtask and its place in the file."""

    name: str
    examples: tuple[Example, ...]
    subtasks: tuple[str, ...]
    files: tuple[str, ...]
    offsets: tuple[int, ...]


def read_target(name: str, source: RowSource) -> Target:
    """Read a target file; a row without a `subtask` belongs to the subtask named as the target.

    Raises:
        DataError: A row is not an example, or there is none. Targets are small: a bad row is never skipped.
    """
    examples: list[Example] = []
    subtasks: list[str] = []
    files: list[str] = []
    offsets: list[int] = []
    for row in source.rows():
        if row.fault:
            raise DataError(source.place(row), "one JSON object", row.fault, "Mend the line.")
        try:
            examples.append(to_target_example(row.value))
        except BadRowError as error:
            raise DataError(source.place(row), error.expected, error.got, error.do) from None
        files.append(row.file)
        offsets.append(row.offset)
        subtask = row.value.get("subtask") if isinstance(row.value, dict) else None
        subtasks.append(name if subtask is None or subtask == "" else str(subtask).encode(errors="replace").decode())
    if not examples:
        raise DataError(source.where, "at least one target example", "none", "Check that this is the right file.")
    return Target(name, tuple(examples), tuple(subtasks), tuple(files), tuple(offsets))
