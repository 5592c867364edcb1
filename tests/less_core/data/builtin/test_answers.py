"""Whether an answer is right, each rule against a statement of its own."""

import re
import string
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from less_core.data.builtin.answers import final_number, right_answer, same_number, same_short_answer, same_span, short_answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 + 4 = 7", "7"),
        ("So he pays $1,234.50.", "1234.50"),
        ("#### 80", "80"),
        ("####-5", "-5"),
        ("#### 1,300\n\nQuestion: what of 7?", "1300"),
        ("The answer is 18. He has 3 left.", "18"),
        ("The answer is 9 * 2.5 = 22.5 dollars. He has 3 left.", "22.5"),
        ("The answer is as above. In all 7.", "7"),
        ("#### none. None\nof 7", "7"),
        ("The answer is 18.\nHe has 3 left.", "18"),
        ("the ANSWER is: **18**", "18"),
        ("The answer is\n\n18\n4", "18"),
        ("The answer is 3 + 4 = 7 apples", "7"),
        ("The answer is 5. No, wait.\nThe answer is 6.", "6"),
        ("12 in all. The answer is a dozen.", "12"),
        ("3-2", "2"),
        ("x = -2", "-2"),
        ("it is \N{MINUS SIGN}4", "-4"),
        ("-$1,000", "-1000"),
        ("about .5 l", ".5"),
        ("1,2,3", "3"),
        ("1,234,567", "1234567"),
        ("from 5 to 6.", "6"),
        ("2.50%", "2.50"),
        ("no number", ""),
        ("", ""),
    ],
)
def test_final_number_is_the_last_in_the_sentence_of_the_answer_or_on_its_line_or_at_all(text: str, number: str) -> None:
    assert final_number(text) == number


@given(
    st.integers(-(10**9), 10**9),
    st.integers(0, 3),
    st.sampled_from(["{}", "so ${}.", "3 and 4.\n#### {}", "12 ... The answer is {}.\n\nQuestion: 99?", "The answer is: {} eggs"]),
    st.sampled_from(["{}", "{:,}"]),
)
def test_same_number_compares_values_in_any_wording(value: int, zeros: int, wording: str, form: str) -> None:
    written = form.format(value) + ("." + "0" * zeros if zeros else "")
    output = wording.format(written)
    assert same_number(output, str(value))
    assert not same_number(output, str(value + 1))


@given(st.lists(st.from_regex(re.compile(r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?", re.ASCII), fullmatch=True), min_size=1, max_size=4))
def test_final_number_of_a_list_equals_its_last_in_value(numbers: list[str]) -> None:
    assert Fraction(final_number(" then ".join(numbers))) == Fraction(numbers[-1])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" It is 3. So the answer is (B).", "(B)"),
        ("So the answer is False.\n\nQ: True and\nA: So the", "False"),
        ("the answer is A. No: the Answer is B.", "B"),
        ("So the answer is ] } ].", "] } ]"),
        ("The answer is:\n**yes**", "yes"),
        ('the answer is "plausible"', "plausible"),
        (" valid\n\nQ: next", "valid"),
        ("", ""),
    ],
)
def test_short_answer_is_the_rest_of_the_line_after_the_last_lead(text: str, answer: str) -> None:
    assert short_answer(text) == answer


@pytest.mark.parametrize(
    ("output", "answer", "right"),
    [
        ("Let's see. So the answer is (B).", "(B)", True),
        ("So the answer is b", "(B)", True),
        ("So the answer is (B) because", "(B)", False),
        ("So the answer is (A).", "(B)", False),
        ("So the answer is arson  Aspect census.", "arson aspect census", True),
        ("So the answer is aspect arson census.", "arson aspect census", False),
        ("So the answer is ) ].", ") ]", True),
        ("So the answer is ].", ") ]", False),
        ("So the answer is ( ) ).", ") )", False),
        ("So the answer is 12", "1", False),
        ("So the answer is", "(B)", False),
        ("", "no", False),
    ],
)
def test_same_short_answer_ignores_case_space_and_the_brackets_of_a_choice_alone(output: str, answer: str, right: bool) -> None:
    assert same_short_answer(output, answer) is right


@given(st.text("ABab01 ", min_size=1).filter(str.strip), st.text("ABab01 ", min_size=1).filter(str.strip))
def test_same_short_answer_is_equality_of_words(said: str, answer: str) -> None:
    assert same_short_answer(f"Step one. So the answer is {said}.", answer) is (said.lower().split() == answer.lower().split())


@pytest.mark.parametrize(
    ("output", "answers", "right"),
    [
        (" Kigali", ["Kigali"], True),
        (" kigali.\n\n<|user|>", ["Kigali"], True),
        ("Kigali, Ruanda", ["Kigali"], False),
        ("2289", ["no", "2,289"], True),
        ("the 1990s", ["1990s"], True),
        ("A", ["A"], True),
        ("«Императорском   Казанском»", ["Императорском Казанском"], True),
        ("1945년 8월 15일。", ["1945년 8월 15일"], True),
        ("পেলেউসের।", ["পেলেউসের"], True),
        ("الإسكندر؟", ["الإسكندر"], True),
        ("Ａｄａ", ["ada"], True),
        ("cafe\u0301", ["caf\u00e9"], True),
        ("cafe", ["caf\u00e9"], False),
        ("...", ["?"], False),
        ("", [""], False),
        ("x", [], False),
    ],
)
def test_same_span_ignores_case_punctuation_space_and_articles_in_any_script(output: str, answers: list[str], right: bool) -> None:
    assert same_span(output, answers) is right


def squad(text: str) -> str:
    """The normal form of SQuAD's evaluation, in its four steps, for ASCII."""
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(word for word in text.split() if word not in ("a", "an", "the"))


@given(st.text("aAnThe.,-'1 $", max_size=12).map(str.strip), st.text("aAnThe.,-'1 $", max_size=12))
def test_same_span_equals_the_exact_match_of_squad_on_ascii(output: str, answer: str) -> None:
    if squad(output) and squad(answer):
        assert same_span(output, [answer]) is (squad(output) == squad(answer))


ROWS: list[tuple[str, dict[str, Any], str, str]] = [
    ("gsm8k", {"answer": "18"}, "9 * 2 = 18 dollars.\n#### 18", "#### 81"),
    ("bbh", {"answer": "(B)"}, "So the answer is (B).", "So the answer is (C)."),
    ("tydiqa", {"answers": ["Kigali", "in Kigali"]}, " In Kigali", " Ruanda"),
]


@pytest.mark.parametrize(("builtin", "row", "right", "wrong"), ROWS)
def test_right_answer_judges_each_target_by_its_own_rule(builtin: str, row: dict[str, Any], right: str, wrong: str) -> None:
    assert right_answer(builtin, row, right) is True
    assert right_answer(builtin, row, wrong) is False
