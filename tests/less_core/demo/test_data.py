import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

import less_core
from less_core.demo import lexicon as lexicon
from less_core.demo.data import TARGET_SKILL, DemoRow, demo_held_out, demo_pool, demo_target, write_demo_data
from less_core.errors import DataError

POOL = demo_pool(seed=0)
TARGET = demo_target(seed=0)
SKILLS = sorted(lexicon.ASKS)
SEEDS = range(20)
EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def rows_of(skill: str) -> list[DemoRow]:
    return [row for seed in SEEDS for row in demo_pool(seed) if row.skill == skill]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def words_of(text: str) -> list[str]:
    """Lower-case words, with every number as #: what is left of a pattern once its numbers are filled in."""
    return re.findall(r"[a-z']+|#", re.sub(r"\d+", "#", text.lower()))


def sequences_of(rows: list[DemoRow], length: int) -> set[tuple[str, ...]]:
    texts = [words_of(text) for row in rows for text in (row.prompt, row.answer)]
    return {tuple(words[start : start + length]) for words in texts for start in range(len(words) - length + 1)}


def matches(pattern: str, text: str) -> bool:
    literal = re.split(r"\{\w+\}", pattern)
    return re.fullmatch(".+?".join(map(re.escape, literal)), text, re.DOTALL) is not None


# the pool as a whole


def test_pool_has_as_many_rows_of_each_of_eight_skills_as_asked_for() -> None:
    assert Counter(row.skill for row in POOL) == dict.fromkeys(SKILLS, 40)
    assert len(SKILLS) == 8
    assert Counter(row.skill for row in demo_pool(per_skill=3)) == dict.fromkeys(SKILLS, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_pool_and_target_have_no_prompt_twice(seed: int) -> None:
    prompts = [row.prompt for row in demo_pool(seed) + demo_target(seed)]
    assert len(set(prompts)) == len(prompts)


def test_pool_of_2000_of_each_skill_is_still_distinct() -> None:
    assert len({row.prompt for row in demo_pool(per_skill=2000)}) == 8 * 2000


def test_pool_is_shuffled() -> None:
    assert len({row.skill for row in POOL[:40]}) >= 6


def test_pool_and_target_follow_the_seed() -> None:
    assert demo_pool(1) == demo_pool(1)
    assert demo_target(1) == demo_target(1)
    assert {row.prompt for row in demo_pool(1)} != {row.prompt for row in POOL}
    assert demo_target(1) != TARGET


def test_pool_does_not_depend_on_the_hash_seed() -> None:
    code = "import json; from less_core.demo.data import demo_pool, demo_target; print(json.dumps(demo_pool() + demo_target()))"
    root = str(Path(less_core.__file__).parents[1])

    def rows(hash_seed: str) -> list[DemoRow]:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": root}
        printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        return [DemoRow(*row) for row in json.loads(printed)]

    assert rows("1") == rows("2") == POOL + TARGET


@pytest.mark.parametrize(("per_skill", "message"), [(0, "positive"), (-1, "positive"), (4000, "skill code: expected 4000 different rows")])
def test_pool_refuses_a_size_it_cannot_make(per_skill: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        demo_pool(per_skill=per_skill)


def test_no_text_has_an_open_slot_or_white_space_at_an_end() -> None:
    for row in POOL + TARGET:
        for text in (row.prompt, row.answer):
            assert text == text.strip() != ""
            assert "  " not in text.replace("\n  ", "\n")  # indented JSON
            assert not re.search(r"\{\w+\}", text)


# the files


def test_files_hold_messages_only_and_the_key_lines_up(tmp_path: Path) -> None:
    write_demo_data(tmp_path / "new" / "folder", seed=3, per_skill=5)
    pool, target, key = (read(tmp_path / "new" / "folder" / f"{name}.jsonl") for name in ("pool", "target", "skills"))
    rows = demo_pool(seed=3, per_skill=5)
    assert [entry["index"] for entry in key] == list(range(len(rows)))
    assert [(entry["skill"], line["messages"]) for entry, line in zip(key, pool, strict=True)] == [
        (row.skill, [{"role": "user", "content": row.prompt}, {"role": "assistant", "content": row.answer}]) for row in rows
    ]
    assert [line["messages"][0]["content"] for line in target] == [row.prompt for row in demo_target(3)]
    for line in pool + target:
        assert set(line) == {"messages"}  # no label
        assert [set(message) for message in line["messages"]] == [{"role", "content"}] * 2


def test_held_out_problems_are_other_ones_than_the_targets() -> None:
    held_out = [row.prompt for row in demo_held_out(3)]
    assert len(held_out) == 24
    assert len(set(held_out)) == 24
    assert not set(held_out) & {row.prompt for row in [*demo_target(3), *demo_pool(3, 5)]}


def test_files_written_again_are_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_demo_data(tmp_path / folder)
    for name in ("pool.jsonl", "target.jsonl", "held_out.jsonl", "skills.jsonl"):
        written = (tmp_path / "a" / name).read_bytes()
        assert written == (tmp_path / "b" / name).read_bytes()
        assert written.endswith(b"\n")
        assert b"\r" not in written


# phrasings and lengths


@pytest.mark.parametrize("skill", SKILLS)
def test_skill_is_asked_for_in_six_ways_or_more(skill: str) -> None:
    rows = [row for row in POOL if row.skill == skill]
    assert all(matches(row.phrasing, row.prompt) for row in rows)
    assert len({row.phrasing for row in rows}) >= 6


@pytest.mark.parametrize("skill", SKILLS)
def test_skill_is_answered_in_four_styles_or_more(skill: str) -> None:
    rows = [row for row in POOL if row.skill == skill]
    assert all(matches(row.style, row.answer) for row in rows)
    assert len({row.style for row in rows}) >= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_lengths_of_any_two_skills_overlap(seed: int) -> None:
    lengths = defaultdict(list)
    for row in demo_pool(seed):
        lengths[row.skill].append(len(row.prompt) + len(row.answer))
    for one in lengths.values():
        for other in lengths.values():
            assert sorted(one)[len(one) // 10] < sorted(other)[-len(other) // 10]


@pytest.mark.parametrize("part", ["prompt", "answer", "both"])
@pytest.mark.parametrize("unit", ["characters", "words"])
def test_neither_the_shortest_nor_the_longest_examples_are_mostly_of_the_target_skill(part: str, unit: str) -> None:
    def length(row: DemoRow) -> int:
        text = row.prompt + "\n" + row.answer if part == "both" else getattr(row, part)
        return len(text.split() if unit == "words" else text)

    for seed in SEEDS:
        ordered = sorted(demo_pool(seed), key=length)
        for chosen in (ordered[:16], ordered[-16:], ordered[:40], ordered[-40:]):
            assert sum(row.skill == TARGET_SKILL for row in chosen) < len(chosen) / 2


# the target


def test_target_is_six_word_problems_of_six_patterns() -> None:
    assert [row.skill for row in TARGET] == [TARGET_SKILL] * 6
    assert len({row.phrasing for row in TARGET}) == 6
    assert all(matches(row.phrasing, row.prompt) for row in TARGET)


def test_target_patterns_do_not_occur_in_the_pool() -> None:
    pool, target = demo_pool(per_skill=400), [row for seed in range(20) for row in demo_target(seed)]
    assert not {row.phrasing for row in target} & {story.text for story in lexicon.STORIES}
    assert not any(matches(story.text, row.prompt) for story in lexicon.TARGET_STORIES for row in pool)
    assert not sequences_of(pool, 4) & sequences_of(target, 4)


def test_target_shares_no_name_with_the_pool_and_only_function_words_with_its_word_problems() -> None:
    names = {name for group in lexicon.TARGET_PEOPLE for name in group}
    pool = demo_pool(per_skill=400)
    assert not any(re.search(rf"\b{name}\b", row.prompt + row.answer) for name in names for row in pool)
    problems = [row for row in pool if row.skill == TARGET_SKILL]
    shared = sequences_of(problems, 1) & sequences_of([row for seed in range(20) for row in demo_target(seed)], 1)
    function_words = "# a and are at by each for has in into is it later makes of out that the this to what with work"
    assert {word for (word,) in shared} <= set(function_words.split())


# the answers


def test_every_equation_is_true_and_starts_from_the_numbers_of_the_problem() -> None:
    for row in rows_of("arithmetic") + [row for seed in range(20) for row in demo_target(seed)]:
        steps = EQUATION.findall(row.answer)
        assert len(steps) == 2, row.answer
        for left, op, right, result in steps:
            value = {"+": int(left) + int(right), "-": int(left) - int(right), "*": int(left) * int(right), "/": int(left) / int(right)}[op]
            assert value == int(result), row.answer
        given = re.findall(r"\d+", row.prompt)
        assert {steps[0][0], steps[0][2], steps[1][2]} == set(given), row
        assert steps[1][0] == steps[0][3]
        assert re.findall(r"\d+", row.answer)[-1] == steps[1][3]  # the last number said is the result


def test_review_label_follows_from_its_remarks() -> None:
    good = {aspect.good for aspects in lexicon.REVIEWS.values() for aspect in aspects}
    bad = {aspect.bad for aspects in lexicon.REVIEWS.values() for aspect in aspects}
    labels = set()
    for row in rows_of("sentiment"):
        likes, dislikes = any(text in row.prompt for text in good), any(text in row.prompt for text in bad)
        expected = {(True, False): "positive", (False, True): "negative", (True, True): "mixed"}[likes, dislikes]
        assert set(re.findall("positive|negative|mixed", row.answer)) == {expected}
        labels.add(expected)
    assert len(labels) == 3


def test_translation_has_the_french_of_every_english_part() -> None:
    parts = [(part.english, part.french) for part in (*lexicon.SUBJECTS, *lexicon.PREDICATES, *lexicon.TIMES)]
    for row in rows_of("translation"):
        present = {french for english, french in parts if english.lower() in row.prompt.lower()}
        assert len(present) in (3, 5)
        assert {french for _, french in parts if french in row.answer.lower()} == present


PYTHON_RESULTS = {  # of x = [3, 1, 4, 1, 5, 9, 2, 6] and n = 4, worked out by hand
    "sums the squares": 173,
    "finds the largest number": 9,
    "keeps only the numbers above 4": [5, 9, 6],
    "computes the average": 3.875,
    "in reverse order": [6, 2, 9, 5, 1, 4, 1, 3],
    "counts how often 4 occurs": 1,
    "takes the first 4 elements": [3, 1, 4, 1],
    "from largest to smallest": [9, 6, 5, 4, 3, 2, 1, 1],
    "drops duplicates": [3, 1, 4, 5, 9, 2, 6],
    "adds 4 to every number": [7, 5, 8, 5, 9, 13, 6, 10],
    "maps each position": {0: 3, 1: 1, 2: 4, 3: 1, 4: 5, 5: 9, 6: 2, 7: 6},
    "are below 4": False,
    "with commas": "3, 1, 4, 1, 5, 9, 2, 6",
    "every second element": [3, 4, 5, 2],
    "position of the smallest number": 1,
}


@pytest.mark.parametrize("task", lexicon.PYTHON_TASKS, ids=lambda task: task.does)
def test_python_line_does_what_its_description_says(task: lexicon.PythonTask) -> None:
    does, line = task.does.format(v="x", n=4), task.line.format(v="x", n=4)
    (expected,) = [result for words, result in PYTHON_RESULTS.items() if words in does]
    assert eval(line, {"x": [3, 1, 4, 1, 5, 9, 2, 6]}) == expected  # our own table


def test_python_answer_holds_the_line_of_its_task() -> None:
    for row in rows_of("code"):
        name = re.search(r"`(\w+)`", row.prompt)
        assert name
        number = re.search(r"\d", row.prompt)
        slots = {"v": name[1], "n": number[0] if number else ""}
        (task,) = [task for task in lexicon.PYTHON_TASKS if task.does.format(**slots) in row.prompt]
        assert task.line.format(**slots) in row.answer


def test_extracted_json_holds_the_facts_of_the_sentence() -> None:
    for row in rows_of("extraction"):
        found = re.search(r"\{.*\}", row.answer, re.DOTALL)
        assert found
        facts = json.loads(found[0])
        assert list(facts) == ["name", "city", "date"]
        assert facts["name"] in row.prompt
        assert facts["city"] in row.prompt
        written = re.search(r"(\d{1,2}) ([A-Z][a-z]+) (\d{4})|([A-Z][a-z]+) (\d{1,2}), (\d{4})", row.prompt)
        assert written
        day, month, year = written.group(1, 2, 3) if written[1] else written.group(5, 4, 6)
        assert date.fromisoformat(facts["date"]) == datetime.strptime(f"{day} {month} {year}", "%d %B %Y").date()


def test_sorted_words_are_those_of_the_prompt_in_order() -> None:
    for row in rows_of("sorting"):
        (kind,) = [kind for kind in lexicon.WORDS if kind in row.prompt]
        given, answered = (
            list(dict.fromkeys(word for word in re.findall("[a-z]+", text) if word in lexicon.WORDS[kind]))
            for text in (row.prompt, row.answer)
        )
        assert len(given) >= 4
        assert answered == sorted(given)


def test_email_is_from_the_sender_to_the_recipient_on_the_day() -> None:
    for row in rows_of("email"):
        (day,) = [day for day in lexicon.DAYS if day in row.prompt]
        (recipient,) = [name for name in lexicon.RECIPIENTS if name in row.prompt]
        (sender,) = [person.first for person in lexicon.PEOPLE if person.first in row.prompt]
        assert day in row.answer
        assert re.search(rf"^(Dear|Hello) {re.escape(recipient)},$", row.answer, re.MULTILINE)
        assert row.answer.endswith(f"\n{sender}")


def test_geography_answers_come_in_the_order_of_the_questions() -> None:
    for row in rows_of("geography"):
        (country,) = [country for country in lexicon.COUNTRIES if re.search(rf"\b{country.country}\b", row.prompt)]
        asked = sorted((fact for fact in lexicon.FACTS if fact.question in row.prompt), key=lambda fact: row.prompt.index(fact.question))
        assert len(asked) >= 2
        forms = [[form.format(**country._asdict()) for form in (fact.named, fact.following, fact.short)] for fact in asked]
        positions = [next(row.answer.index(form) for form in answer if form in row.answer) for answer in forms]
        assert positions == sorted(positions)
