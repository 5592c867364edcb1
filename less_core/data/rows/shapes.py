"""The shapes that a row of a pool or a target can have, and the example in it."""

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from less_core.data.example import Example, Message

Shape = Literal["auto", "messages", "prompt_completion", "alpaca", "sharegpt"]

ROLES = ("system", "user", "assistant")
SHAREGPT_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


class BadRowError(Exception):
    """A row that holds no example. Readers turn it into a `DataError` that names file and line."""

    def __init__(self, expected: str, got: str, do: str) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected, self.got, self.do = expected, got, do


def to_example(row: object, shape: Shape = "auto") -> Example:
    """Return the training conversation in a pool's row.

    Raises:
        BadRowError: The row has not that shape, or no assistant turn with text.
    """
    if not isinstance(row, Mapping):
        raise BadRowError("a JSON object", _kind(row), "Write one object a line.")
    found = detect_shape(row) if shape == "auto" else shape
    messages = tuple(_READERS[found](row))
    if not any(m.role == "assistant" and m.content.strip() for m in messages):
        raise BadRowError(
            "an assistant turn with text", f"roles {[m.role for m in messages][:10]}", "Only assistant tokens are trained on; drop the row."
        )
    return Example(messages=messages)


def to_target_example(row: object) -> Example:
    """Return the example in a target's row: `prompt` and `completion` as exact strings, or a conversation.

    Raises:
        BadRowError: The row is neither.
    """
    if isinstance(row, Mapping) and row.get("messages") is None and isinstance(row.get("prompt"), str):
        prompt, completion = _text(row, "prompt"), _text(row, "completion")
        if not completion:
            raise BadRowError("a `completion` with text", "an empty one", "The loss is taken on the completion; drop the row.")
        return Example(prompt=prompt, completion=completion)
    return to_example(row)


def detect_shape(row: Mapping[str, Any]) -> Literal["messages", "prompt_completion", "alpaca", "sharegpt"]:
    """Return the shape that the row's keys show. A null stands for a key that is not there."""
    keys = {key for key, value in row.items() if value is not None}
    if "messages" in keys:
        return "messages"
    if "conversations" in keys:
        return "sharegpt"
    if {"prompt", "completion"} <= keys:
        return "prompt_completion"
    if {"instruction", "output"} <= keys:
        return "alpaca"
    raise BadRowError(
        "`messages`, `conversations`, `prompt` + `completion` or `instruction` + `output`",
        f"keys {sorted(map(str, row))}"[:300],
        "Rename the columns to one of these shapes.",
    )


def _messages(row: Mapping[str, Any]) -> list[Message]:
    return _turns(row, "messages", "role", "content", {role: role for role in ROLES})


def _sharegpt(row: Mapping[str, Any]) -> list[Message]:
    return _turns(row, "conversations", "from", "value", SHAREGPT_ROLES)


def _prompt_completion(row: Mapping[str, Any]) -> list[Message]:
    return [Message("user", _text(row, "prompt")), Message("assistant", _text(row, "completion"))]


def _alpaca(row: Mapping[str, Any]) -> list[Message]:
    instruction = _text(row, "instruction")
    context = _text(row, "input") if row.get("input") is not None else ""
    question = f"{instruction}\n\n{context}" if context.strip() else instruction
    return [Message("user", question), Message("assistant", _text(row, "output"))]


_READERS: dict[str, Callable[[Mapping[str, Any]], list[Message]]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "prompt_completion": _prompt_completion,
    "alpaca": _alpaca,
}


def _turns(row: Mapping[str, Any], key: str, role_key: str, text_key: str, roles: Mapping[str, str]) -> list[Message]:
    turns = row.get(key)
    if not isinstance(turns, list) or not turns:
        raise BadRowError(f"`{key}` to be a list of turns", _kind(turns), "See README.md for the shapes of a row.")
    messages = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, Mapping):
            raise BadRowError(f"turn {number} of `{key}` to be an object", _kind(turn), "See README.md for the shapes of a row.")
        role = turn.get(role_key)
        if not isinstance(role, str) or role not in roles:
            raise BadRowError(
                f"`{role_key}` of turn {number} to be one of {list(roles)}", reprlib.repr(role)[:80], "Rename the role or drop the row."
            )
        messages.append(Message(roles[role], _text(turn, text_key)))
    return messages


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise BadRowError(f"`{key}` to be text", _kind(value), "Only text is supported; drop the row or write its text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRowError(f"`{key}` to be text that UTF-8 can carry", "half of a surrogate pair", "Mend or drop the row.") from None
    return value


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        int: "a number",
        float: "a number",
        bool: "true or false",
        type(None): "nothing",
    }
    kind = names.get(type(value), type(value).__name__)
    return "an empty list" if value == [] else kind
