"""Small rows for tests."""

import copy
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from less_core.data.encoding import EncodedExample

WORDS = [
    "red",
    "blue",
    "green",
    "dog",
    "cat",
    "bird",
    "runs",
    "jumps",
    "sleeps",
    "one",
    "two",
    "three",
    "plus",
    "minus",
    "equals",
    "apple",
    "pear",
    "plum",
    "is",
    "not",
    "the",
    "a",
    "of",
]


def conversation(seed: int) -> dict[str, Any]:
    """A small conversation of known words, different for each seed."""
    rng = random.Random(seed)
    question = " ".join(rng.choices(WORDS, k=rng.randrange(2, 10)))
    answer = " ".join(rng.choices(WORDS, k=rng.randrange(1, 12)))
    return {"messages": [{"role": "user", "content": f"{seed} {question}"}, {"role": "assistant", "content": answer}]}


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def encoded_examples(count: int = 10) -> list[EncodedExample]:
    """Random tokens of different lengths, all but the first three labelled."""
    generator = torch.Generator().manual_seed(0)
    out = []
    for number in range(count):
        ids = torch.randint(3, 400, (5 + number,), generator=generator).tolist()
        out.append(EncodedExample(str(number), ids, [place > 2 for place in range(len(ids))], truncated=False))
    return out


def assert_same_files(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> None:
    """The same names, and under each the same bytes; names alone are told where not."""
    assert sorted(one) == sorted(other)
    assert [name for name in sorted(one) if one[name] != other[name]] == []


def assert_same(one, other, tolerance: float = 2e-6) -> None:
    a, b = one.scores(), other.scores()
    assert a.keys() == b.keys()
    assert [e for e in a if a[e] is None] == [e for e in a if b[e] is None]  # not judged
    assert max(abs(a[e] - b[e]) for e in a if a[e] is not None) <= tolerance
    assert one.selected() == other.selected()


def with_setting(settings: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy of some settings with one of them set; `path` is as in a message."""
    data = copy.deepcopy(settings)
    *parents, last = path.split(".")
    node: Any = data
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[last] = value
    return data
