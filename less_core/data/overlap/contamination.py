"""Rows of a pool that copy a target example: a model trained on them would know the answers it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from less_core.data.example import Example
from less_core.data.overlap.copies import CopyFinder
from less_core.data.rows.files import Row
from less_core.data.targets import Target

COPIED = 0.5  # share of a target example that makes a row a copy


@dataclass(frozen=True)
class CopiedRow:
    """A row of a pool, and the target example that it copies most of."""

    example_id: str
    file: str
    index: int  # row in the file
    target: str
    target_example: int  # from 1, in the order of the target's rows
    share: float


class Contamination:
    """Looks at a pool's examples as they are read and keeps those that copy a target example.

    Args:
        targets: Without any, nothing is found.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self._finders = {target.name: CopyFinder(target.asked) for target in targets}
        self.found: list[CopiedRow] = []

    def look(self, row: Row, example: Example) -> None:
        """Note the row if it is a copy, for the target that it copies most of."""
        copies = [(copy.share, name, copy.example) for name, finder in self._finders.items() if (copy := finder.find(example))]
        share, target, number = max(copies, default=(0.0, "", 0))
        if share >= COPIED:
            self.found.append(CopiedRow(example.example_id, row.file, row.index, target, number + 1, share))
