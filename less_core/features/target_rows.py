"""The rows of a target by subtask, and which of them are usable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from less_core.errors import NonFiniteGradientError
from less_core.features.rows import OK


@dataclass(frozen=True)
class TargetRows:
    """A target's rows in file order: an example may stand in several subtasks."""

    name: str
    example_ids: list[str]
    subtasks: list[str]


def make_target_rows(name: str, example_ids: list[str], subtasks: list[str], *, each: bool) -> TargetRows:
    """Return a target's rows; with `each`, every example is a subtask of its own, named after its subtask and its place."""
    names = [f"{subtask} {place}" if each else subtask for place, subtask in enumerate(subtasks, 1)]
    return TargetRows(name, example_ids, names)


@dataclass(frozen=True)
class ScoredTarget:
    """A target as its scores know it."""

    name: str
    subtasks: list[str]
    examples: int  # usable
    unusable: int
    left_out: list[str]


@dataclass(frozen=True)
class UsableTarget:
    """A target with those of its examples that are usable at every checkpoint."""

    scored: ScoredTarget
    by_subtask: list[list[str]]  # example ids of each subtask, in file order


def usable_target(target: TargetRows, statuses: Sequence[Mapping[str, str]]) -> UsableTarget:
    """Return a target without what cannot be used; a subtask whose examples have all been cut off before their first label is named.

    Args:
        target: Its rows.
        statuses: For each checkpoint by example id.

    Raises:
        NonFiniteGradientError: No example of the target is usable.
    """
    usable = [all(at[example_id] == OK for at in statuses) for example_id in target.example_ids]
    subtasks = list(dict.fromkeys(s for s, ok in zip(target.subtasks, usable, strict=True) if ok))
    left_out = []
    for subtask in dict.fromkeys(target.subtasks):
        if subtask not in subtasks:
            found = {at[e] for at in statuses for e, s in zip(target.example_ids, target.subtasks, strict=True) if s == subtask} - {OK}
            left_out.append(f"{subtask} ({', '.join(sorted(found))})")
    if not subtasks:
        do = "Raise features.max_length: the prompts may fill it before the first label."
        raise NonFiniteGradientError(f"target {target.name}", "at least one usable example", "; ".join(left_out[:5]), do)
    by_subtask: dict[str, list[str]] = {subtask: [] for subtask in subtasks}
    for example_id, subtask, ok in zip(target.example_ids, target.subtasks, usable, strict=True):
        if ok:
            by_subtask[subtask].append(example_id)
    scored = ScoredTarget(target.name, subtasks, sum(usable), len(usable) - sum(usable), left_out)
    return UsableTarget(scored, list(by_subtask.values()))
