"""Rows of targets, whatever their bytes: every example with its subtask, or an error with file and line."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from counts import Count
from fuzzing import Good, Line, carried, conversations, lines, mutations, outcome, replaced, scalars, strings_in, texts, tries
from hypothesis import given

from less_core.data.example import Example
from less_core.data.targets import Target, load_target
from less_core.settings.file import parse_settings
from less_core.settings.select import SelectSettings


def settings_of(folder: Path, **target: Any) -> SelectSettings:
    data = {"name": "r", "model": {"path": "m"}, "data_dir": str(folder), "pools": [{"name": "p", "path": "p.jsonl"}]}
    return parse_settings(data | {"targets": [{"name": "goal", "path": "t.jsonl", **target}]}, "test")


def load(folder: Path, **target: Any) -> Target:
    settings = settings_of(folder, **target)
    return load_target(settings, settings.targets[0])


def pair(prompt: str, completion: str) -> Good:
    return {"prompt": prompt, "completion": completion}, Example(prompt=prompt, completion=completion)


subtasks = st.sampled_from([None, "", "a", "b", "\u00fc", 0, 1.5, True]) | texts | scalars
pairs = st.builds(pair, carried, carried.filter(bool))
good_rows = st.builds(lambda good, subtask: (good[0] | {"subtask": subtask}, good[1]), pairs | conversations, subtasks) | pairs


def subtask_of(line: bytes) -> str:
    """Return the subtask of a row as one would expect it: text without what UTF-8 cannot carry, else the target's name."""
    found = json.loads(line.removeprefix(b"\xef\xbb\xbf")).get("subtask")
    return "goal" if found in (None, "") and found is not False else str(found).encode(errors="replace").decode()


@given(written=st.lists(lines(good_rows), max_size=3), skip=st.integers(0, 2), take=st.integers(0, 2))
@tries(70)
def _written(counts: Counter[str], folder: Path, written: list[Line], skip: int, take: int) -> None:
    (folder / "t.jsonl").write_bytes(b"\n".join(line.content for line in written))
    there = [n for n, line in enumerate(written) if (line.content if n else line.content.removeprefix(b"\xef\xbb\xbf")).strip()]
    bad = [n for n in there if not written[n].example]
    found = outcome(counts, lambda: load(folder, skip=skip, take=take), "t.jsonl", *(f"line {n + 1}: " for n in bad[:1]))
    seen: Counter[str] = Counter()
    expected = []
    for n in there if not bad else ():
        subtask = subtask_of(written[n].content)
        seen[subtask] += 1
        if skip < seen[subtask] <= (skip + take if take else len(there)):
            expected.append((written[n].example, subtask))
    assert (found is not None) == bool(expected)
    assert not found or list(zip(found.examples, found.subtasks, strict=True)) == expected


def test_targets_are_the_examples_that_were_written_or_an_error_with_file_and_line(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _written(counts, tmp_path)
    count(**counts)


SOME = b"".join(
    json.dumps(row, ensure_ascii=False).encode() + b"\n"
    for row in (
        {"prompt": "\u00fc 1+1=", "completion": " 2", "subtask": "sums"},
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "subtask": 3},
        {"instruction": "i", "output": "o", "question": "i"},
    )
)


def holds(held: list[str], example: Example) -> bool:
    """Tell whether all of an example's text is among these."""
    parts = [example.prompt, example.completion] if not example.messages else [m.content for m in example.messages]
    return {*parts} <= {*held, *(f"{a}\n\n{b}" for a in held for b in held)}


@given(content=mutations(SOME) | st.sampled_from(["utf-16", "latin-1", "utf-32-be"]).map(lambda name: SOME.decode().encode(name)))
@tries(100)
def _mutated(counts: Counter[str], folder: Path, content: bytes) -> None:
    (folder / "t.jsonl").write_bytes(content)
    found = outcome(counts, lambda: load(folder), "t.jsonl")
    if found:
        rows = [json.loads(line.decode()) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
        assert len(rows) == len(found.examples)
        assert all(holds(strings_in(row), example) for row, example in zip(rows, found.examples, strict=True))


def test_targets_of_changed_bytes_are_the_text_in_them_or_an_error(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _mutated(counts, tmp_path)
    count(**counts)


@given(row=good_rows.flatmap(lambda good: replaced(good[0])), ascii_only=st.booleans())
@tries(70)
def _replaced(counts: Counter[str], folder: Path, row: Any, ascii_only: bool) -> None:
    (folder / "t.jsonl").write_bytes(b"\n" + json.dumps(row, ensure_ascii=ascii_only).encode(errors="surrogatepass"))
    found = outcome(counts, lambda: load(folder), "t.jsonl, line 2: ")
    if found:
        [example], [subtask] = found.examples, found.subtasks
        assert holds(strings_in(row), example)
        assert example.completion or any(m.role == "assistant" and m.content.strip() for m in example.messages)
        assert subtask.encode().decode() == subtask != ""


def test_targets_with_a_part_of_another_type_are_examples_of_their_own_text_or_errors(tmp_path: Path, count: Count) -> None:
    counts: Counter[str] = Counter()
    _replaced(counts, tmp_path)
    count(**counts)
