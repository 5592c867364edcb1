"""Edits as a line diff sees them."""

import numpy as np
import pytest

from less_core.changes.row_edits import FileRows, count_edits


def rows(*files: str) -> FileRows:
    """Rows from a letter each: a small letter is an unchanged row, the same in both versions; a capital a changed one."""
    placed = [(number, index, letter) for number, file in enumerate(files) for index, letter in enumerate(file) if letter != " "]
    file, index = (np.array([row[i] for row in placed], dtype=np.int64) for i in (0, 1))
    return FileRows(file, index, np.array([ord(letter) if letter.islower() else -1 for *_, letter in placed], dtype=np.int64))


@pytest.mark.parametrize(
    ("before", "now", "edits"),
    [
        ("abc", "abc", 0),
        ("aBc", "aXc", 1),
        ("Abc", "Xbc", 1),
        ("abC", "abX", 1),
        ("ABC", "XYZ", 3),
        ("abc", "abcX", 0),  # appended
        ("abC", "ab", 0),  # removed
        ("aBCd", "aXd", 1),  # one edited, one removed
        ("aBd", "aXYd", 1),  # one edited, one added
        ("abcd", "dcba", 0),  # another order
        ("aBcd", "dcaX", 1),  # still after a
        ("aBc", "acX", 0),  # after another row
        ("aBcDe", "aXceY", 1),
        ("a B c", "a  Xc", 1),  # rows between them that are not examples do not count
        ("", "XY", 0),
        ("AB", "", 0),
        ("", "", 0),
    ],
)
def test_edit_is_a_removed_and_an_added_row_at_the_same_distance_from_an_unchanged_one(before: str, now: str, edits: int) -> None:
    assert count_edits(rows(before), rows(now), 1).tolist() == [edits]


def test_edits_stay_within_a_file_though_an_unchanged_row_moves_to_another() -> None:
    assert count_edits(rows("aB", "cD", ""), rows("aX", "", "cY"), 3).tolist() == [1, 0, 0]


def test_rows_are_taken_by_their_number_and_not_as_they_come() -> None:
    before, now = rows("aBcD"), rows("aXcY")
    order = np.array([2, 0, 3, 1])
    assert count_edits(FileRows(before.file[order], before.index[order], before.known[order]), now, 1).tolist() == [2]
