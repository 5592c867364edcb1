"""Rows edited in place, told from rows that were added and rows that were removed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class FileRows:
    """The rows of one version's files, in any order; each field is [rows]."""

    file: Integers  # a number of the file, the same in both versions
    index: Integers  # number of the row in its file
    known: Integers  # an unchanged row has a number of its own, the same in both versions; a changed row has -1


def count_edits(before: FileRows, now: FileRows, files: int) -> Integers:
    """Return the edited rows of each file [files], as a line diff would see them.

    A row that is gone and a row that is new are one edit where both follow the same unchanged row, or their file's start, at the same
    distance. So rows that are appended or change their order make no edits, and neither does what moves to another file.
    """
    runs_before, lengths_before = _changed_runs(before, files)
    runs_now, lengths_now = _changed_runs(now, files)
    runs, at_before, at_now = np.intersect1d(runs_before, runs_now, assume_unique=True, return_indices=True)
    edits = np.zeros(files, dtype=np.int64)
    np.add.at(edits, runs % files, np.minimum(lengths_before[at_before], lengths_now[at_now]))
    return edits


def _changed_runs(rows: FileRows, files: int) -> tuple[Integers, Integers]:
    """Return the runs of changed rows, each as one number of what it follows and its file, and their lengths."""
    order = np.lexsort((rows.index, rows.file))
    file, known = rows.file[order], rows.known[order]
    place = np.arange(len(order))
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = file[1:] != file[:-1]
    start = np.maximum.accumulate(np.where(starts, place, 0))
    unchanged = np.maximum.accumulate(np.where(known >= 0, place, -1))
    follows = np.where(unchanged >= start, known[unchanged], -1)  # -1: the file's start
    changed = known < 0
    runs, lengths = np.unique((follows[changed] + 1) * files + file[changed], return_counts=True)
    return runs, lengths
