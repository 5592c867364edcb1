"""Targets: a few examples each of what the model should get good at, in subtasks."""

from collections import Counter
from dataclasses import dataclass

from less_core.data.builtin.rows import open_builtin
from less_core.data.example import Example
from less_core.data.pools import RowSource, open_rows
from less_core.data.rows.shapes import BadRowError, to_target_example
from less_core.errors import DataError
from less_core.settings.select import SelectSettings, TargetSettings


@dataclass(frozen=True)
class Target:
    """A target's examples, each with its subtask and its place in the file."""

    name: str
    examples: tuple[Example, ...]
    subtasks: tuple[str, ...]
    files: tuple[str, ...]
    offsets: tuple[int, ...]
    asked: tuple[Example, ...]  # question and completion alone, where a row tells its question from what else is in its prompt


def open_target(settings: SelectSettings, target: TargetSettings) -> RowSource:
    """Open a target's file, or a built-in target's."""
    if target.builtin:
        return open_builtin(target.builtin, settings.data_path(target.data_dir) if target.data_dir else "", target.hub)
    return open_rows(settings.data_path(target.path))


def load_target(settings: SelectSettings, target: TargetSettings) -> Target:
    """Open and read a target; as `open_target` and `read_target`."""
    return read_target(target.name, open_target(settings, target), skip=target.skip, take=target.take)


def read_target(name: str, source: RowSource, *, skip: int = 0, take: int = 0) -> Target:
    """Read a target file; a row without a `subtask` belongs to the subtask named as the target.

    Args:
        name: Of the target.
        source: Its rows.
        skip: This many examples of each subtask are left out, from its first on.
        take: Then this many of each are taken; 0 for all.

    Raises:
        DataError: A row is not an example, or there is none. Targets are small: a bad row is never skipped.
    """
    examples: list[Example] = []
    subtasks: list[str] = []
    files: list[str] = []
    asked: list[Example] = []
    offsets: list[int] = []
    seen: Counter[str] = Counter()
    for row in source.rows():
        if row.fault:
            raise DataError(source.place(row), "one JSON object", row.fault, "Mend the line.")
        try:
            example = to_target_example(row.value)
        except BadRowError as error:
            raise DataError(source.place(row), error.expected, error.got, error.do) from None
        found = row.value.get("subtask") if isinstance(row.value, dict) else None
        subtask = name if found is None or found == "" else str(found).encode(errors="replace").decode()
        seen[subtask] += 1
        if seen[subtask] <= skip or (take and seen[subtask] > skip + take):
            continue
        examples.append(example)
        asked.append(_asked(row.value, example))
        files.append(row.file)
        offsets.append(row.offset)
        subtasks.append(subtask)
    if not examples:
        got = f"none after the first {skip} of each subtask" if seen else "none"
        raise DataError(source.where, "at least one target example", got, "Check that this is the right file, and `skip`.")
    return Target(name, tuple(examples), tuple(subtasks), tuple(files), tuple(offsets), tuple(asked))


def _asked(row: object, example: Example) -> Example:
    """A prompt may hold other examples too, as BBH's do: a copy of one of them is no copy of this one."""
    question = row.get("question") if isinstance(row, dict) else None
    if example.messages or not isinstance(question, str) or question not in example.prompt:
        return example
    return Example(prompt=question, completion=example.completion)
