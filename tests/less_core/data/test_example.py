"""The address of an example is that of its content."""

from less_core.data.example import Example, Message


def test_example_id_is_the_same_for_equal_conversations_and_differs_otherwise() -> None:
    made = [
        Example(messages=(Message("user", "a"), Message("assistant", "b"))),
        Example(messages=(Message("user", "a"), Message("assistant", "b "))),
        Example(messages=(Message("system", "a"), Message("assistant", "b"))),
        Example(messages=(Message("assistant", "b"), Message("user", "a"))),
        Example(prompt="a", completion="b"),
        Example(prompt="ab", completion=""),
    ]
    assert len({example.example_id for example in made}) == len(made)
    assert Example(messages=(Message("user", "a"), Message("assistant", "b"))).example_id == made[0].example_id


def test_example_id_is_stable_across_versions() -> None:
    """The store is addressed by it: a change here makes every feature of every store unfindable."""
    assert Example(messages=(Message("user", "ü"), Message("assistant", "b"))).example_id == "4ead5a261c2117765df8726267dfad79"
    assert Example(prompt="ü", completion="b").example_id == "6a20bec1c2fac77a4adbb29837fd449c"
