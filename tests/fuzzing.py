"""How bad inputs are tried: few in `make test`, many with LESS_FAULTS=full, always the same ones."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import hypothesis.strategies as st
from counts import FULL
from hypothesis import HealthCheck, settings

from less_core.data.example import Example, Message
from less_core.errors import LessError

LONGEST = 3000  # characters of an error: what a person reads, not what a file holds

Value = TypeVar("Value")


def tries(small: int) -> settings:
    """Settings of a property that is tried `small` times, or 12 times as often."""
    return settings(
        max_examples=small * (12 if FULL else 1),
        deadline=None,
        derandomize=True,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def outcome(counts: Counter[str], work: Callable[[], Value], *names: str) -> Value | None:
    """Return what `work` returns, or nothing where it raises an error of our tree that has all of `names` and is fit to be shown.

    Anything else that it raises is raised here, and fails the test.
    """
    counts["tried"] += 1
    try:
        result = work()
    except LessError as error:
        text = str(error)
        assert all(name in text for name in names), (text, names)
        assert text.isprintable(), text
        assert len(text) < LONGEST, text
        counts["errors"] += 1
        return None
    counts["results"] += 1
    return result


nasty = st.sampled_from(
    [
        "",
        " ",
        "\x00",
        "\n",
        "\r\n",
        "\u2028",
        "\x85",
        "\ufeff",
        "\u202e",
        "\u2066",
        "\u200d",
        "\x1b[31m",
        "\ud800",
        "\udc00x",
        "\ufffd",
        "\U0001f600",
    ]
)
anything = st.characters(exclude_categories=())  # halves of surrogate pairs too
texts = st.lists(nasty | st.text(anything, max_size=6), max_size=4).map("".join)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8)


@st.composite
def mutations(draw: st.DrawFn, content: bytes) -> bytes:
    """A file's bytes with a few of them changed, taken out, put in or cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(changed) - 1, 0)))
        how = draw(st.sampled_from(["flip", "set", "cut", "drop", "insert", "repeat"]))
        if how == "flip" and changed:
            changed[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "set" and changed:
            changed[place] = draw(st.integers(0, 255))
        elif how == "cut":
            del changed[place:]
        elif how == "drop":
            del changed[place : place + draw(st.integers(1, 40))]
        elif how == "insert":
            changed[place:place] = draw(st.binary(min_size=1, max_size=12))
        else:
            changed[place:place] = changed[place : place + draw(st.integers(1, 40))]
    return bytes(changed)


def replaced(value: Any, by: st.SearchStrategy[Any] = values) -> st.SearchStrategy[Any]:
    """Values like this one, of which a part at any depth is another, or is gone."""
    if isinstance(value, dict) and value:
        keys = st.sampled_from(list(value))
        within = keys.flatmap(lambda key: replaced(value[key], by).map(lambda new: value | {key: new}))
        return within | keys.map(lambda key: {k: v for k, v in value.items() if k != key}) | by
    if isinstance(value, list) and value:
        places = st.sampled_from(range(len(value)))
        return places.flatmap(lambda n: replaced(value[n], by).map(lambda new: [*value[:n], new, *value[n + 1 :]])) | by
    return by


carried = texts.map(lambda text: text.encode(errors="replace").decode())  # what UTF-8 can carry
said = carried.map(lambda text: text if text.strip() else "a")
GPT = {"system": "system", "user": "human", "assistant": "gpt"}
turns = st.tuples(
    st.lists(st.builds(Message, st.sampled_from(sorted(GPT)), carried), max_size=3),
    st.builds(Message, st.just("assistant"), said),
    st.lists(st.builds(Message, st.sampled_from(sorted(GPT)), carried), max_size=2),
).map(lambda parts: (*parts[0], parts[1], *parts[2]))
Good = tuple[dict[str, Any], Example]  # a row, and the example in it


def _conversation(messages: tuple[Message, ...], gpt: bool) -> Good:
    if gpt:
        return {"conversations": [{"from": GPT[m.role], "value": m.content} for m in messages]}, Example(messages)
    return {"messages": [{"role": m.role, "content": m.content} for m in messages], "prompt": None}, Example(messages)


def pair(question: str, answer: str, context: str | None, alpaca: bool) -> Good:
    if alpaca:
        asked = f"{question}\n\n{context}" if context and context.strip() else question
        row = {"instruction": question, "input": context, "output": answer}
        return row, Example((Message("user", asked), Message("assistant", answer)))
    return {"prompt": question, "completion": answer}, Example((Message("user", question), Message("assistant", answer)))


conversations = st.builds(_conversation, turns, st.booleans())
good_rows = conversations | st.builds(pair, carried, said, st.none() | carried, st.booleans())


@dataclass(frozen=True)
class Line:
    """A line of a file of rows, and the example that it holds, if any."""

    content: bytes
    example: Example | None


NESTED = 100  # levels of JSON that are read


@st.composite
def lines(draw: st.DrawFn, rows: st.SearchStrategy[Good] = good_rows) -> Line:
    """A row with an example, written in one of many ways; or one without, of JSON or of any other characters; or a blank line."""
    kind = draw(st.sampled_from([*["row"] * 9, "half", "value", "text", "blank", "cut"]))
    if kind == "blank":
        return Line(draw(st.text(" \t\r", max_size=3)).encode(), None)
    if kind == "text":
        return Line(draw(texts).replace("\n", "").encode(errors="surrogatepass"), None)
    row, example = draw(rows)
    if kind == "value":
        row = draw(values)
    elif kind == "half":
        row = {"prompt": draw(texts) + "\ud800", "completion": "a"}
    else:
        row |= draw(st.dictionaries(st.sampled_from(["dataset", "source", "id", "\ud800"]), values, max_size=2))
    text = json.dumps(row, ensure_ascii=draw(st.booleans()))
    if kind == "cut":
        text = text[: draw(st.integers(1, len(text) - 1))]
    if kind != "row":
        return Line(text.encode(errors="surrogatepass"), None)
    deep = draw(st.sampled_from([*[0] * 9, NESTED - 1, NESTED, 5000]))
    twice = f'"{next(iter(row))}": 3, '  # the last of two equal keys holds
    before = f'"deep": {"[" * deep}{"]" * deep}, ' if deep else draw(st.sampled_from(["", twice, '"n": NaN, ']))
    content = ("{" + before + text[1:]).encode(errors="surrogatepass")
    return Line(content, example if deep < NESTED and is_text(content) else None)


def is_text(content: bytes) -> bool:
    """Tell whether bytes are UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def strings_in(value: object) -> list[str]:
    """Return the texts in a value of JSON."""
    inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return [value] if isinstance(value, str) else [found for item in inner for found in strings_in(item)]
