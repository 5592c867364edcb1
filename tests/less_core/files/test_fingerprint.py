"""Addresses: equal content, equal address, and the form is one that can be recomputed by hand."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from less_core.files.fingerprint import LENGTH, fingerprint, fingerprint_bytes, fingerprint_ids

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_fingerprint_is_sha256_of_canonical_json() -> None:
    expected = hashlib.sha256('{"a":[1,2.5,null],"ü":true}'.encode()).hexdigest()[:32]
    assert fingerprint({"ü": True, "a": [1, 2.5, None]}) == expected


@given(JSON)
def test_fingerprint_takes_any_json_and_is_the_same_after_a_round_trip(value: Any) -> None:
    address = fingerprint(value)
    assert len(address) == LENGTH
    assert fingerprint(json.loads(json.dumps(value))) == address


@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=2, max_size=5))
def test_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    assert fingerprint(dict(reversed(value.items()))) == fingerprint(value)


@given(JSON, JSON)
def test_fingerprint_differs_for_different_values(one: Any, other: Any) -> None:
    different = json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)
    assert (fingerprint(one) != fingerprint(other)) == different


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_fingerprint_refuses_what_json_cannot_say(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"a": value})


def test_fingerprint_of_ids_is_that_of_the_set() -> None:
    assert fingerprint_ids(["b", "a"]) == fingerprint_ids(iter(["a", "b"]))
    assert len({fingerprint_ids(ids) for ids in (["a"], ["a", "b"], ["ab"], [])}) == 4


def test_fingerprint_of_bytes_does_not_depend_on_the_pieces() -> None:
    assert fingerprint_bytes([b"ab", b"", b"c"]) == fingerprint_bytes([b"abc"]) == hashlib.sha256(b"abc").hexdigest()[:32]
