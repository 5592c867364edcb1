"""Rows of every shape, and rows of none: an example or a `BadRowError`, never anything else."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from less_core.data.example import Example, Message
from less_core.data.rows.shapes import BadRowError, detect_shape, to_example, to_target_example

QUESTION_AND_ANSWER = Example(messages=(Message("user", "q"), Message("assistant", "a")))
TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
SHARE = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]

ROWS: dict[str, dict[str, Any]] = {
    "messages": {"messages": TURNS},
    "sharegpt": {"conversations": SHARE},
    "prompt_completion": {"prompt": "q", "completion": "a"},
    "alpaca": {"instruction": "q", "output": "a"},
}


@pytest.mark.parametrize("shape", list(ROWS))
def test_row_of_each_shape_is_found_and_read(shape: str) -> None:
    assert detect_shape(ROWS[shape]) == shape
    assert to_example(ROWS[shape]) == QUESTION_AND_ANSWER
    assert to_example(ROWS[shape], shape) == QUESTION_AND_ANSWER


@pytest.mark.parametrize("shape", list(ROWS))
def test_null_columns_stand_for_keys_that_are_not_there(shape: str) -> None:
    row = dict.fromkeys(["messages", "conversations", "prompt", "completion", "instruction", "output", "input", "id"]) | ROWS[shape]
    assert to_example(row) == QUESTION_AND_ANSWER


@pytest.mark.parametrize("shape", list(ROWS))
def test_shape_that_was_asked_for_is_not_replaced_by_another(shape: str) -> None:
    other = next(row for name, row in ROWS.items() if name != shape)
    with pytest.raises(BadRowError):
        to_example(other, shape)


@pytest.mark.parametrize(
    ("context", "question"),
    [("c", "q\n\nc"), ("", "q"), (None, "q"), (" \n", "q"), (" c ", "q\n\n c ")],
    ids=["text", "empty", "null", "blank", "spaces"],
)
def test_alpaca_puts_the_input_below_the_instruction(context: str | None, question: str) -> None:
    assert to_example({"instruction": "q", "input": context, "output": "a"}).messages[0] == Message("user", question)


def test_sharegpt_roles_are_translated_and_text_is_kept_as_it_is() -> None:
    turns = [("system", " s "), ("human", "h\n"), ("gpt", "\tg"), ("user", "u"), ("assistant", "a")]
    row = {"conversations": [{"from": role, "value": text} for role, text in turns]}
    roles = ["system", "user", "assistant", "user", "assistant"]
    assert to_example(row).messages == tuple(Message(role, text) for role, (_, text) in zip(roles, turns, strict=True))


BAD: list[tuple[Any, str]] = [
    (None, "a JSON object, got nothing"),
    ([], "a JSON object, got an empty list"),
    ("text", "a JSON object, got text"),
    (True, "a JSON object, got true or false"),
    ({}, "keys \\[\\]"),
    ({"text": "a"}, "keys \\['text'\\]"),
    ({"messages": None, "prompt": "q"}, "keys"),
    ({"messages": []}, "`messages` to be a list of turns, got an empty list"),
    ({"messages": {"role": "user"}}, "a list of turns, got an object"),
    ({"messages": ["hi"]}, "turn 0 of `messages` to be an object, got text"),
    ({"messages": [TURNS[0], {"role": "tool", "content": "x"}]}, "`role` of turn 1 to be one of .*, got 'tool'"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "`role` of turn 0"),
    ({"messages": [{"content": "x"}]}, "`role` of turn 0 .* got None"),
    ({"messages": [TURNS[0], {"role": "assistant", "content": None}]}, "`content` to be text, got nothing"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}, TURNS[1]]}, "`content` to be text, got a list"),
    ({"messages": [TURNS[0]]}, "an assistant turn with text, got roles \\['user'\\]"),
    ({"messages": [TURNS[0], {"role": "assistant", "content": " \n"}]}, "an assistant turn with text"),
    ({"conversations": [{"from": "bing", "value": "x"}]}, "`from` of turn 0"),
    ({"prompt": "q", "completion": ""}, "an assistant turn with text"),
    ({"prompt": 3, "completion": "a"}, "`prompt` to be text, got a number"),
    ({"instruction": "q", "output": {"a": 1}}, "`output` to be text, got an object"),
    ({"instruction": "q", "input": 1.5, "output": "a"}, "`input` to be text, got a number"),
    ({"prompt": "q", "completion": "half \ud800"}, "`completion` to be text that UTF-8 can carry"),
]


@pytest.mark.parametrize(("row", "message"), BAD)
def test_bad_row_says_what_is_wrong_and_what_to_do(row: Any, message: str) -> None:
    with pytest.raises(BadRowError, match=message) as caught:
        to_example(row)
    assert caught.value.do.endswith(".")


def test_target_row_of_prompt_and_completion_is_used_as_it_is() -> None:
    assert to_target_example({"prompt": " q\n", "completion": " a", "messages": None}) == Example(prompt=" q\n", completion=" a")
    assert to_target_example({"prompt": "", "completion": "a"}) == Example(prompt="", completion="a")


def test_target_row_may_be_a_conversation_which_goes_before_a_prompt() -> None:
    assert to_target_example({"messages": TURNS, "prompt": "p", "completion": "c"}) == QUESTION_AND_ANSWER
    assert to_target_example(ROWS["alpaca"]) == QUESTION_AND_ANSWER


@pytest.mark.parametrize(
    "row", [{"prompt": "q", "completion": ""}, {"prompt": "q"}, {"prompt": "q", "completion": 1}, {"completion": "a"}, 3]
)
def test_target_row_without_completion_is_bad(row: Any) -> None:
    with pytest.raises(BadRowError):
        to_target_example(row)


KEYS = [
    "messages",
    "conversations",
    "prompt",
    "completion",
    "instruction",
    "input",
    "output",
    "role",
    "content",
    "from",
    "value",
    "subtask",
]
# Any code point, lone surrogates too: JSON can spell them.
STRINGS = st.sampled_from(["user", "assistant", "system", "human", "gpt", ""]) | st.text(st.characters(exclude_categories=()), max_size=4)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | STRINGS
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | STRINGS, inner, max_size=4), max_leaves=12
)
TURN_LIKE = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("role", "content", "from", "value"), STRINGS | JSON)) | JSON, max_size=3
)
ROW_LIKE = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS[2:7], STRINGS | JSON) | dict.fromkeys(KEYS[:2], TURN_LIKE | JSON))


@settings(max_examples=400, deadline=None)
@given(row=JSON | ROW_LIKE, shape=st.sampled_from(["auto", *ROWS]))
def test_any_json_gives_an_example_or_a_bad_row(row: Any, shape: str) -> None:
    for read in (lambda: to_example(row, shape), lambda: to_target_example(row)):
        try:
            example = read()
        except BadRowError as error:
            str(error).encode()  # goes to logs and reports
            continue
        assert len(example.example_id) == 32
        assert example.completion or any(m.role == "assistant" and m.content.strip() for m in example.messages)
        assert all(m.role in ("system", "user", "assistant") and m.content.encode() is not None for m in example.messages)
