"""What runs are called."""

import pytest
from prefect.utilities.names import generate_slug

from flows.run.names import is_made_up


def test_names_that_the_server_draws_are_made_up() -> None:
    assert [name for name in (generate_slug(2) for _ in range(300)) if not is_made_up(name)] == []


@pytest.mark.parametrize("name", ["Sleek-Gopher", "Handcrafted-Sea ox", "beta3-capricorni-nebula", "tau1234-zurvan"])
def test_names_that_the_forms_fill_in_are_made_up(name: str) -> None:
    assert is_made_up(name)


@pytest.mark.parametrize("name", ["maths", "monday", "maths-nightly", "big model", "Big-Model", "before the fix", "crazy-maths", "a-b"])
def test_names_that_a_person_types_are_not(name: str) -> None:
    assert not is_made_up(name)
