"""The built-in targets: the very strings that the LESS scripts make, out of their files, out of small ones and off the hub."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pytest
from samples import write_jsonl

from less_core.data.builtin import rows as module
from less_core.data.builtin.rows import open_builtin
from less_core.data.rows.shapes import to_target_example
from less_core.errors import DataError

SHARED = Path(__file__).parents[5] / "shared" / "data"
Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def read(builtin: str, folder: Path | str = "", hub: Path | str = "") -> Rows:
    return [row.value for row in open_builtin(builtin, str(folder), str(hub)).rows()]


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


# The published files.

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the data beside the repository (../shared/data) are not here")


@needs_shared
@pytest.mark.parametrize("folder", ["eval", ""], ids=["folder", "one above"])
@pytest.mark.parametrize(("builtin", "count"), [("mmlu", 285), ("bbh", 81), ("tydiqa", 9), ("gsm8k", 8)])
def test_builtin_strings_and_order_are_those_of_the_less_scripts(builtin: str, count: int, folder: str) -> None:
    expected = [json.loads(line) for line in (SHARED / "eval" / f"{builtin}.jsonl").read_text(encoding="utf-8").splitlines()]
    found = read(builtin, SHARED / folder)
    assert len(found) == count
    assert [(row["prompt"], row["completion"]) for row in found] == [(row["prompt"], row["completion"]) for row in expected]
    if builtin != "gsm8k":
        assert [row["subtask"] for row in found] == [row["subtask"] for row in expected]


@needs_shared
def test_mmlu_parts_are_those_of_the_file() -> None:
    expected = [json.loads(line) for line in (SHARED / "eval" / "mmlu.jsonl").read_text(encoding="utf-8").splitlines()]
    for row, one in zip(read("mmlu", SHARED), expected, strict=True):
        assert (row["question"], row["choices"], row["answer"]) == (one["question"], one["choices"], one["answer"])


@needs_shared
def test_bbh_short_answer_ends_the_completion_of_every_row() -> None:
    for row in read("bbh", SHARED):
        assert row["completion"].endswith(f"So the answer is {row['answer']}.")


@needs_shared
def test_gsm8k_of_worked_answers_ends_in_its_final_number(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    shutil.copy(SHARED / "eval" / "gsm8k_dev64.jsonl", tmp_path / "gsm8k")
    found = read("gsm8k", tmp_path)
    expected = [json.loads(line) for line in (SHARED / "eval" / "gsm8k_dev64.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["prompt"], row["completion"]) for row in found] == [(row["prompt"], row["completion"]) for row in expected]
    assert all(row["completion"].replace(",", "").endswith(f"#### {row['answer']}") for row in found)


# Small files in the same layout.


def write_mmlu(folder: Path, subjects: dict[str, list[list[str]]]) -> Path:
    for subject, rows in subjects.items():
        path = folder / "mmlu" / "dev" / f"{subject}_dev.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
    return folder


def test_mmlu_row_is_the_question_with_its_choices_and_two_blanks_before_the_subject(tmp_path: Path) -> None:
    write_mmlu(tmp_path, {"set_theory": [["Is\n{} empty?", "yes", "no", "both, in part", "N/A", "A"]]})
    assert read("mmlu", tmp_path) == [
        {
            "subtask": "set_theory",
            "prompt": "<|user|>\nThe following are multiple choice questions (with answers) about  set theory.\n\nIs\n{} empty?\n"
            "A. yes\nB. no\nC. both, in part\nD. N/A\nAnswer:\n<|assistant|>\nThe answer is:",
            "completion": " A",
            "question": "Is\n{} empty?",
            "choices": ["yes", "no", "both, in part", "N/A"],
            "answer": "A",
        }
    ]


@pytest.mark.parametrize("choice", ["None", "N/A", "NaN", "null", "", " 1", "007", "0.50", "1e3", "True", '"', "Ä"])
def test_mmlu_choice_is_the_text_of_the_file_whatever_it_looks_like(tmp_path: Path, choice: str) -> None:
    write_mmlu(tmp_path, {"s": [["q", choice, "2", "3", "4", "B"], ["q", choice, "2", "3", "4", "B"]]})
    for row in read("mmlu", tmp_path):
        assert row["choices"] == [choice, "2", "3", "4"]
        assert f"\nA. {choice}\nB. 2\n" in row["prompt"]


def test_mmlu_subjects_stand_by_name_and_may_differ_in_size(tmp_path: Path) -> None:
    row = ["q", "1", "2", "3", "4", "D"]
    write_mmlu(tmp_path, {"c": [row] * 7, "a": [row] * 3, "b": [[*row[:3], "B"]]})
    (tmp_path / "mmlu" / "dev" / "._a_dev.csv").write_bytes(b"\x00\xff")  # left by a Mac's archives
    (tmp_path / "mmlu" / "dev" / "notes.csv").write_text("x")
    found = read("mmlu", tmp_path)
    assert list(Counter(row["subtask"] for row in found).items()) == [("a", 3), ("b", 1), ("c", 7)]
    assert found[3]["prompt"].endswith("q\nA. 1\nB. 2\nAnswer:\n<|assistant|>\nThe answer is:")


@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"], ids=["plain", "byte order mark", "blank lines"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_mmlu_file_may_have_a_byte_order_mark_blank_lines_and_any_line_end(tmp_path: Path, start: str, end: str) -> None:
    (tmp_path / "mmlu" / "dev").mkdir(parents=True)
    (tmp_path / "mmlu" / "dev" / "s_dev.csv").write_bytes(f"{start}q,1,2,3,4,C{end}{end}r,1,2,3,4,D".encode())
    assert [(row["question"], row["answer"]) for row in read("mmlu", tmp_path)] == [("q", "C"), ("r", "D")]


GOOD = "q,1,2,3,4,A\n"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            b"q,1,2,3,4,E",
            "s_dev.csv, line 2: expected a question, at least two choices and the letter of the right one, got 4 choices and .*'E'",
        ),
        (b"q,1,2,3,4,", "line 2: expected .* got 4 choices and the answer ''"),
        (b"q,1,2,3,4,AB", "line 2: expected .* got 4 choices and the answer 'AB'"),
        (b"q,1,A", "line 2: expected .* got 1 choices"),
        (b"q", "line 2: expected .* got 0 choices"),
        (b'"q\nr\n",1,2,3,4,E', "line 4: expected"),
        (b'"q,1,2,3,4,A', "line 2: expected comma-separated values, got unexpected end of data"),
        (b'"q" x,1,2,3,4,A', "line 2: expected comma-separated values"),
        (b"\xff,1,2,3,4,A", "s_dev.csv: expected UTF-8, got a byte that is not"),
    ],
)
def test_mmlu_bad_line_names_file_and_line(tmp_path: Path, bad: bytes, message: str) -> None:
    (tmp_path / "mmlu" / "dev").mkdir(parents=True)
    (tmp_path / "mmlu" / "dev" / "s_dev.csv").write_bytes(GOOD.encode() + bad)
    with pytest.raises(DataError, match=message):
        read("mmlu", tmp_path)


def write_bbh(folder: Path, tasks: Any) -> Path:
    write(folder / "bbh" / "bbh-three-shot.json", tasks)
    return folder


def exemplar(number: int) -> str:
    return f"Q: What is {number} + 1?\nOptions:\n(A) yes\nA: Let's think.\nIt grows. So the answer is {number + 1}."


def test_bbh_each_exemplar_in_turn_stands_behind_the_others(tmp_path: Path) -> None:
    write_bbh(tmp_path, {"sums": "Add one.\n\nMind the signs.\n\n" + "\n\n".join(map(exemplar, range(3)))})
    found = read("bbh", tmp_path)
    assert [row["answer"] for row in found] == ["1", "2", "3"]
    assert found[1] == {
        "subtask": "sums",
        "prompt": f"<|user|>\nAdd one.\n\nMind the signs.\n\n{exemplar(0)}\n\n{exemplar(2)}\n\n"
        "Q: What is 1 + 1?\nOptions:\n(A) yes\n<|assistant|>\nA:",
        "completion": " Let's think.\nIt grows. So the answer is 2.",
        "question": "What is 1 + 1?\nOptions:\n(A) yes",
        "answer": "2",
    }


def test_bbh_tasks_keep_their_order_and_may_differ_in_exemplars(tmp_path: Path) -> None:
    write_bbh(tmp_path, {name: "Do.\n\n" + "\n\n".join(map(exemplar, range(count))) for name, count in {"b": 1, "c": 5, "a": 2}.items()})
    found = read("bbh", tmp_path)
    assert list(Counter(row["subtask"] for row in found).items()) == [("b", 1), ("c", 5), ("a", 2)]
    assert found[0]["prompt"] == "<|user|>\nDo.\n\nQ: What is 0 + 1?\nOptions:\n(A) yes\n<|assistant|>\nA:"


def test_bbh_blank_line_inside_an_exemplar_and_no_instruction_are_fine(tmp_path: Path) -> None:
    write_bbh(tmp_path, {"t": "Q: first\n\nparagraph\nA: one\n\nQ: second\nA: two"})
    first, second = read("bbh", tmp_path)
    assert first["prompt"] == "<|user|>\nQ: second\nA: two\n\nQ: first\n\nparagraph\n<|assistant|>\nA:"
    assert (first["completion"], second["answer"]) == (" one", "two")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "bbh-three-shot.json, line 1: expected JSON, got"),
        ('{"a": "Q: x\\nA: y",\n\n"b" 3}', "bbh-three-shot.json, line 3: expected JSON, got Expecting ':' delimiter"),
        ("[]", "bbh-three-shot.json: expected a JSON object, got list"),
        ('{"t": 3}', "bbh-three-shot.json, t: expected `t` to be text, got 3"),
        ('{"t": "Do it."}', "bbh-three-shot.json, t: expected exemplars .*, got 0 questions"),
        ('{"t": "Q: x\\nA: y\\n\\nQ: z"}', "bbh-three-shot.json, t: expected exemplars .*, got 2 questions, not all with an answer"),
    ],
)
def test_bbh_malformed_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read("bbh", write_bbh(tmp_path, content))


def passage(language: str, number: int = 0, **parts: Any) -> dict[str, Any]:
    answers = [{"text": "drei", "answer_start": 3}, {"text": "3", "answer_start": 0}]
    return {"id": f"{language}-{number}", "context": " Drei.", "question": "Wie viele?", "answers": answers} | parts


def test_tydiqa_row_is_in_the_words_of_its_language_and_completes_with_the_first_answer(tmp_path: Path) -> None:
    write(
        tmp_path / "tydiqa" / "tydiqa-one-shot.json",
        {"swahili": [passage("swahili"), passage("swahili", 1)], "english": [passage("english")]},
    )
    found = read("tydiqa", tmp_path)
    assert [row["id"] for row in found] == ["swahili-0", "swahili-1", "english-0"]
    assert found[0] == {
        "subtask": "swahili",
        "prompt": "<|user|>\nJibu swali lifuatalo kulingana na habari kwenye kifungu kilichotolewa.Kifungu:  Drei.\n"
        "Swali: Wie viele?\n<|assistant|>\nJibu:",
        "completion": " drei",
        "id": "swahili-0",
        "question": "Wie viele?",
        "answers": ["drei", "3"],
    }


def test_tydiqa_row_without_an_id_has_none(tmp_path: Path) -> None:
    row = passage("korean")
    del row["id"]
    write(tmp_path / "tydiqa" / "tydiqa-one-shot.json", {"korean": [row]})
    assert "id" not in read("tydiqa", tmp_path)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"klingon": [passage("klingon")]}, r"one-shot.json, klingon: expected one of the languages arabic, bengali, .*, got 'klingon'"),
        ({"english": [passage("english", answers=[])]}, "english: expected an answer with text, got none"),
        ({"english": [passage("english", answers=[{"text": " "}])]}, "english: expected an answer with text, got none"),
        ({"english": [passage("english", answers="x")]}, "english: expected `answers` to be a list, got 'x'"),
        ({"english": [passage("english", context=None)]}, "english: expected `context` to be text, got None"),
        ({"english": ["x"]}, "english: expected `answers` to be a list, got 'x'"),
        ({"english": {}}, r"english: expected `english` to be a list, got \{\}"),
    ],
)
def test_tydiqa_malformed_row_names_file_and_language(tmp_path: Path, content: Any, message: str) -> None:
    write(tmp_path / "tydiqa" / "tydiqa-one-shot.json", content)
    with pytest.raises(DataError, match=message):
        read("tydiqa", tmp_path)


MARKED = {"question": "Eggs?", "answer": "She has 16-3=<<16-3=13>>13 eggs.\nAll for $<<13*100=1300>>1300.\n#### 1,300"}


@pytest.mark.parametrize("place", ["gsm8k.jsonl", "gsm8k/train.jsonl", "eval/gsm8k.jsonl", "eval/gsm8k/any.jsonl"])
def test_gsm8k_row_has_no_calculator_marks_and_the_final_number_as_text(tmp_path: Path, place: str) -> None:
    write_jsonl(tmp_path / place, [MARKED])
    assert read("gsm8k", tmp_path) == [
        {
            "subtask": "gsm8k",
            "prompt": "<|user|>\nAnswer the following question.\n\nQuestion: Eggs?\n<|assistant|>\nAnswer:",
            "completion": " She has 16-3=13 eggs.\nAll for $1300.\n#### 1,300",
            "question": "Eggs?",
            "answer": "1300",
        }
    ]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "gsm8k.jsonl, line 3: expected one JSON object, got"),
        ("[1]", r"gsm8k.jsonl, line 3: expected `question` to be text, got \[1\]"),
        ('{"question": "q"}', "gsm8k.jsonl, line 3: expected `answer` to be text, got None"),
        ('{"question": "q", "answer": "none at all"}', "gsm8k.jsonl, line 3: expected an answer with a number, got 'none at all'"),
    ],
)
def test_gsm8k_bad_line_names_file_and_line(tmp_path: Path, bad: str, message: str) -> None:
    write(tmp_path / "gsm8k.jsonl", f"{json.dumps(MARKED)}\n\n{bad}\n")
    with pytest.raises(DataError, match=message):
        read("gsm8k", tmp_path)


@pytest.mark.parametrize(
    ("builtin", "wanted"),
    [
        ("mmlu", r"mmlu/dev/\*_dev.csv"),
        ("bbh", "bbh/bbh-three-shot.json"),
        ("tydiqa", "tydiqa/tydiqa-one-shot.json"),
        ("gsm8k", r"gsm8k/\*.jsonl or gsm8k.jsonl"),
    ],
)
def test_missing_files_are_named_with_the_folder(tmp_path: Path, builtin: str, wanted: str) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=rf"{folder}: expected {wanted}, here or in eval/, got nothing there. Check the path"):
            read(builtin, folder)


def test_folder_of_an_unknown_protocol_is_a_data_error() -> None:
    with pytest.raises(DataError, match="nosuch://data: expected a folder that fsspec can open, got"):
        read("mmlu", "nosuch://data")


def test_builtin_is_read_from_a_url() -> None:
    row = "q,1,2,3,4,A\n"
    with fsspec.open("memory://builtin/eval/mmlu/dev/s_dev.csv", "wt") as file:
        file.write(row)
    with fsspec.open("memory://builtin/gsm8k/a.jsonl", "wt") as file:
        file.write(json.dumps(MARKED) + "\n")
    assert len(read("mmlu", "memory://builtin")) == len(read("gsm8k", "memory://builtin/")) == 1
    with fsspec.open("memory://builtin/eval/mmlu/dev/s_dev.csv", "wt") as file:
        file.write(row + "q,1,A\n")
    with pytest.raises(DataError, match=r"memory://builtin/eval/mmlu/dev/s_dev.csv, line 2"):
        read("mmlu", "memory://builtin")


# The source.


def test_builtin_source_reads_any_row_again_and_every_row_is_a_target_example(tmp_path: Path) -> None:
    write_bbh(tmp_path, {"ä": "\n\n".join(map(exemplar, range(3)))})
    source = open_builtin("bbh", str(tmp_path), "")
    rows = list(source.rows())
    assert [json.loads(source.read(row.file, row.offset)) for row in reversed(rows)] == [row.value for row in reversed(rows)]
    assert "ä" in source.read(rows[0].file, rows[0].offset).decode()
    assert source.place(rows[2]) == f"bbh of {tmp_path}, line 3"
    example = to_target_example(rows[0].value)
    assert (example.prompt, example.completion) == (rows[0].value["prompt"], rows[0].value["completion"])


def test_builtin_digest_is_of_content_and_version_and_not_of_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ["q", "1", "2", "3", "4", "A"]
    folders = [write_mmlu(tmp_path / "one", {"s": [row]}), write_mmlu(tmp_path / "two" / "eval", {"s": [row]}).parent]
    digests = [open_builtin("mmlu", str(folder), "").digest() for folder in folders]
    assert digests[0] == digests[1]
    write_mmlu(tmp_path / "one", {"s": [[*row[:5], "B"]]})
    assert open_builtin("mmlu", str(folders[0]), "").digest() != digests[0]
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert open_builtin("mmlu", str(folders[1]), "").digest() != digests[1]


# The hub, as local data sets with the same columns.


def hub(tmp_path: Path, configs: dict[str, tuple[str, Rows]]) -> Path:
    """A folder that `datasets` loads like a data set of the hub: of each config one split with these rows."""
    folder, card = tmp_path / "hub", "---\nconfigs:\n"
    for config, (split, rows) in configs.items():
        write_jsonl(folder / config / f"{split}.jsonl", rows)
        card += f"- config_name: {config}\n  data_files:\n  - {{split: {split}, path: {config}/{split}.jsonl}}\n"
    write(folder / "README.md", card + "---\n")
    return folder


def test_mmlu_of_the_hub_equals_that_of_the_files(tmp_path: Path) -> None:
    subjects = {"b_c": [["q", "None", "2", "3", "4", "B"]], "a": [["r", "1", "2", "3", "4", "D"], ["s", "1", "2", "3", "4", "A"]]}
    rows = [
        {"question": row[0], "choices": row[1:5], "answer": "ABCD".index(row[5]), "subject": subject}
        for subject, of_it in subjects.items()
        for row in of_it
    ]
    assert read("mmlu", hub=hub(tmp_path, {"all": ("dev", rows)})) == read("mmlu", write_mmlu(tmp_path / "files", subjects))


def test_gsm8k_of_the_hub_equals_that_of_the_files(tmp_path: Path) -> None:
    rows = [MARKED, {"question": "q", "answer": "#### 2"}]
    write_jsonl(tmp_path / "gsm8k.jsonl", rows)
    assert read("gsm8k", hub=hub(tmp_path, {"main": ("train", rows)})) == read("gsm8k", tmp_path)


def test_tydiqa_of_the_hub_equals_that_of_the_files(tmp_path: Path) -> None:
    rows = [passage("finnish"), passage("finnish", 1)]
    write(tmp_path / "tydiqa" / "tydiqa-one-shot.json", {"finnish": rows})
    columns: Rows = [row | {"title": "t", "answers": {"text": [a["text"] for a in row["answers"]], "answer_start": [3, 0]}} for row in rows]
    assert read("tydiqa", hub=hub(tmp_path, {"secondary_task": ("train", columns)})) == read("tydiqa", tmp_path)


def test_bbh_of_the_hub_has_the_first_three_rows_of_each_task_as_exemplars(tmp_path: Path) -> None:
    rows = {
        task: [{"input": f"{task} {number}", "target": str(number)} for number in range(size)] for task, size in {"b": 5, "a": 2}.items()
    }
    found = read("bbh", hub=hub(tmp_path, {task: ("test", of_it) for task, of_it in rows.items()}))
    assert list(Counter(row["subtask"] for row in found).items()) == [("a", 2), ("b", 3)]
    assert found[3] == {
        "subtask": "b",
        "prompt": "<|user|>\nQ: b 0\nA: 0\n\nQ: b 2\nA: 2\n\nQ: b 1\n<|assistant|>\nA:",
        "completion": " 1",
        "question": "b 1",
        "answer": "1",
    }


BAD_HUBS: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("mmlu", "all", "dev", {"question": "q", "choices": ["1", "2"], "answer": 2, "subject": "s"}, "row 1: .*2 choices and the answer 'C'"),
    ("mmlu", "all", "dev", {"question": "q", "choices": ["1", "2"], "answer": -1, "subject": "s"}, "row 1: .*2 choices and the answer ''"),
    ("mmlu", "all", "dev", {"question": "q", "choices": ["1", "2"], "answer": "A", "subject": "s"}, "row 1: .*the answer \"'A'\""),
    ("mmlu", "all", "dev", {"question": "q", "choices": ["1", "2"], "answer": 0}, "row 1: expected `subject` to be text, got None"),
    ("gsm8k", "main", "train", {"question": "q"}, r"hub, main\[train\], row 1: expected `answer` to be text, got None"),
    ("tydiqa", "secondary_task", "train", {"id": "english-1", "answers": ["x"]}, "row 1: expected `text` to be a list"),
    ("bbh", "any", "test", {"input": "q"}, r"hub, any\[test\[:3\]\], row 1: expected `target` to be text"),
    ("bbh", "any", "test", {"input": "q", "target": " "}, "hub, any: expected exemplars"),
    ("mmlu", "other", "dev", {"question": "q"}, r"hub, all\[dev\]: expected a data set that `datasets` can load, got"),
]


@pytest.mark.parametrize(("builtin", "config", "split", "row", "message"), BAD_HUBS)
def test_hub_without_the_expected_columns_names_the_data_set_and_the_row(
    tmp_path: Path, builtin: str, config: str, split: str, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(builtin, hub=hub(tmp_path, {config: (split, [row])}))


@pytest.mark.parametrize("name", ["get_dataset_config_names", "load_dataset"])
def test_hub_that_fails_is_a_data_error_with_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*_: Any, **__: Any) -> Callable[[], None]:
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(datasets, name, fail)
    with pytest.raises(DataError, match=r"org/set.*: expected a data set .*, got ConnectionError: no network"):
        read("bbh" if name == "get_dataset_config_names" else "gsm8k", hub="org/set")
