"""Errors read the same on the other side of a process."""

import pickle

import pytest

from less_core import errors
from less_core.errors import LessError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LessError)]


@pytest.mark.parametrize("kind", KINDS)
def test_error_survives_pickling_with_its_kind_place_and_message(kind: type[LessError]) -> None:
    error = kind("pool.jsonl, line 3", "one {object}", "'ü' \\ 100%", "Mend it.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == "pool.jsonl, line 3: expected one {object}, got 'ü' \\ 100%. Mend it."
    assert again.where == "pool.jsonl, line 3"
    assert isinstance(again, LessError)
    assert str(pickle.loads(pickle.dumps(again))) == str(error)


def test_errors_are_found() -> None:
    assert len(KINDS) >= 7
