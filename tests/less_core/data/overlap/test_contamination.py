"""Rows of a pool that copy a target example, as a pool is read: which row, of which target, which of its examples."""

import random
from pathlib import Path
from typing import Any

import pytest
from samples import write_jsonl

from less_core.data.builtin.renderings import bbh_rows
from less_core.data.index import index_pool
from less_core.data.overlap.contamination import COPIED, Contamination, CopiedRow
from less_core.data.pools import open_rows
from less_core.data.rows.shapes import to_example
from less_core.data.targets import read_target

Row = dict[str, Any]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def text(count: int, seed: int) -> str:
    """Words that no two texts share but by chance."""
    rng = random.Random(seed)
    return " ".join("".join(rng.choices(LETTERS, k=7)) for _ in range(count))


def conversation(question: str, answer: str) -> Row:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


# 23 runs of eight words in a question, 13 in an answer.
QUESTIONS = [text(30, seed) for seed in range(6)]
ANSWERS = [text(20, 100 + seed) for seed in range(6)]
TARGET = [conversation(question, answer) for question, answer in zip(QUESTIONS, ANSWERS, strict=True)]
OTHERS = [conversation(text(30, 200 + seed), text(20, 300 + seed)) for seed in range(4)]


def find(tmp_path: Path, targets: dict[str, list[Row]], pool: dict[str, list[Row]], **part: int) -> list[CopiedRow]:
    """What is found in a pool of some files. `part` is what is skipped and taken of each target."""
    found = []
    for name, rows in targets.items():
        found.append(read_target(name, open_rows(str(write_jsonl(tmp_path / "targets" / f"{name}.jsonl", rows))), **part))
    for name, rows in pool.items():
        write_jsonl(tmp_path / "pool" / name, rows)
    contamination = Contamination(found)
    index_pool("p", open_rows(str(tmp_path / "pool")), "auto", skip_bad_rows=False, watch=contamination.look)
    return contamination.found


def places(found: list[CopiedRow]) -> list[tuple[str, int, str, int]]:
    return [(copy.file, copy.index, copy.target, copy.target_example) for copy in found]


def test_verbatim_copy_is_found_with_its_file_and_row_and_the_targets_name_and_number(tmp_path: Path) -> None:
    pool = {"a.jsonl": OTHERS[:2], "b.jsonl": [OTHERS[2], TARGET[4], OTHERS[3]]}
    assert find(tmp_path, {"goal": TARGET}, pool) == [CopiedRow(to_example(TARGET[4]).example_id, "b.jsonl", 1, "goal", 5, 1.0)]


def test_every_copy_is_found_in_the_order_of_the_rows(tmp_path: Path) -> None:
    pool = {"b.jsonl": [TARGET[1], OTHERS[0], TARGET[0]], "a.jsonl": [OTHERS[1], TARGET[1]]}
    expected = [("a.jsonl", 1, "goal", 2), ("b.jsonl", 0, "goal", 2), ("b.jsonl", 2, "goal", 1)]
    assert places(find(tmp_path, {"goal": TARGET}, pool)) == expected


def test_pool_without_a_copy_and_nothing_to_look_for_find_nothing(tmp_path: Path) -> None:
    assert find(tmp_path, {"goal": TARGET}, {"a.jsonl": OTHERS}) == []
    assert find(tmp_path, {}, {"a.jsonl": TARGET}) == []


@pytest.mark.parametrize(("words", "found"), [(24, []), (25, [18 / 36]), (26, [19 / 36]), (30, [23 / 36])])
def test_half_of_a_target_examples_runs_of_words_make_a_row_a_copy(tmp_path: Path, words: int, found: list[float]) -> None:
    row = conversation(" ".join(QUESTIONS[2].split()[:words]), text(20, 50))
    assert pytest.approx(found) == [copy.share for copy in find(tmp_path, {"goal": TARGET}, {"a.jsonl": [row]})]
    assert COPIED == 18 / 36


def test_number_counts_the_examples_that_are_taken_of_a_target(tmp_path: Path) -> None:
    assert places(find(tmp_path, {"goal": TARGET}, {"a.jsonl": TARGET[:4]}, skip=2, take=2)) == [
        ("a.jsonl", 2, "goal", 1),
        ("a.jsonl", 3, "goal", 2),
    ]


# Targets whose prompts hold other examples


def steps(seed: int) -> str:
    return f" {text(20, 100 + seed)} So the answer is {text(1, 400 + seed)}."


BBH = bbh_rows("task", text(6, 500), [(f"Q: {QUESTIONS[seed]}", steps(seed)) for seed in range(3)])


@pytest.mark.parametrize("number", range(3))
def test_copy_of_an_exemplar_is_one_of_its_own_row_and_not_of_those_that_hold_it(tmp_path: Path, number: int) -> None:
    (found,) = find(tmp_path, {"bbh": BBH}, {"a.jsonl": [OTHERS[0], conversation(QUESTIONS[number], steps(number))]})
    assert (found.index, found.target_example, found.share) == (1, number + 1, 1.0)


def test_whole_prompt_of_exemplars_is_a_copy_of_the_first_of_them(tmp_path: Path) -> None:
    for row in BBH:
        # The completion of the row's own question stands in the prompts of the others.
        (found,) = find(tmp_path, {"bbh": BBH}, {"a.jsonl": [conversation(row["prompt"], row["completion"])]})
        assert (found.target_example, found.share) == (1, 1.0)


@pytest.mark.parametrize(
    "change", [{"question": None}, {"question": 3}, {"question": "something else"}, {}], ids=["none", "3", "other", "-"]
)
def test_row_whose_question_cannot_be_told_is_looked_for_by_all_of_its_prompt(tmp_path: Path, change: Row) -> None:
    told = not change
    row = (BBH[0] if told else {key: value for key, value in BBH[0].items() if key != "question"}) | change
    found = find(tmp_path, {"bbh": [row]}, {"a.jsonl": [conversation(QUESTIONS[0], steps(0))]})
    assert [copy.share == 1 for copy in found] == ([True] if told else [])


# Several targets


def test_copy_is_noted_for_the_target_that_it_copies_most_of_in_any_order_of_targets(tmp_path: Path) -> None:
    half = conversation(f"{QUESTIONS[0]} {text(30, 600)}", text(20, 601))  # 23 of its runs are the first of `TARGET`
    targets = {"b": TARGET, "a": [OTHERS[3], half], "c": OTHERS[:2]}
    pool = {"a.jsonl": [TARGET[0], half, OTHERS[1], OTHERS[2]]}
    expected = [("a.jsonl", 0, "b", 1), ("a.jsonl", 1, "a", 2), ("a.jsonl", 2, "c", 2)]
    assert places(find(tmp_path, targets, pool)) == expected
    assert places(find(tmp_path, dict(reversed(targets.items())), pool)) == expected


def test_row_that_copies_the_same_of_two_targets_is_noted_once(tmp_path: Path) -> None:
    found = find(tmp_path, {"a": TARGET[:2], "b": TARGET[1:]}, {"a.jsonl": [TARGET[1]]})
    assert len(found) == 1
    assert places(found)[0] in [("a.jsonl", 0, "a", 2), ("a.jsonl", 0, "b", 1)]
