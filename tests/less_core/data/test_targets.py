"""Target files: every row counts, so none is skipped."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from less_core.data.example import Example
from less_core.data.pools import open_rows
from less_core.data.targets import Target, read_target
from less_core.errors import DataError

ROW = {"prompt": "q", "completion": "a"}


def read(tmp_path: Path, rows: list[Any]) -> Target:
    path = tmp_path / "t.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return read_target("goal", open_rows(str(path)))


def test_target_keeps_examples_subtasks_and_places_in_file_order(tmp_path: Path) -> None:
    conversation = {"messages": [{"role": "assistant", "content": "x"}]}
    target = read(tmp_path, [ROW | {"subtask": "b"}, "", conversation | {"subtask": "a"}, ROW])
    assert target.examples[0] == target.examples[2] == Example(prompt="q", completion="a")
    assert target.subtasks == ("b", "a", "goal")
    source = open_rows(str(tmp_path / "t.jsonl"))
    assert [json.loads(source.read("t.jsonl", offset)).get("subtask") for offset in target.offsets] == ["b", "a", None]


@pytest.mark.parametrize(("subtask", "expected"), [(None, "goal"), ("", "goal"), (3, "3"), (0, "0"), ("ü", "ü"), (["x"], "['x']")])
def test_target_subtask_is_text_and_the_target_itself_where_there_is_none(tmp_path: Path, subtask: Any, expected: str) -> None:
    assert read(tmp_path, [ROW | {"subtask": subtask}]).subtasks == (expected,)


def test_target_subtask_can_be_written_whatever_it_holds(tmp_path: Path) -> None:
    [subtask] = read(tmp_path, [ROW | {"subtask": "half \ud800"}]).subtasks
    assert pa.array([subtask]).to_pylist() == ["half ?"]


@pytest.mark.parametrize("bad", ["{", "[]", {"prompt": "q"}, {"prompt": "q", "completion": ""}, {"messages": []}])
def test_target_bad_row_names_file_and_line(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(DataError, match=r"t.jsonl, line 2: expected"):
        read(tmp_path, [ROW, bad])


def test_target_without_rows_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t.jsonl: expected at least one target example, got none"):
        read(tmp_path, ["", " "])
