"""Words, whatever the script."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from less_core.data.example import Example, Message
from less_core.data.words import grams_of, parts_of, plain_text, words_of

TURNS = (Message("user", "One two"), Message("assistant", "three"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World's 3.5_x", ["hello", "world", "s", "3", "5", "x"]),
        ("Straße naïve İ", ["straße", "naïve", "i̇"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs are marks
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("你好world", ["你", "好", "world"]),
        ("カタカナとひら。", ["カ", "タ", "カ", "ナ", "と", "ひ", "ら"]),
        ("กา", ["ก", "า"]),
        ("ﬁve １２", ["five", "12"]),
        ("a\ud800b\x00c \n\t", ["a", "b", "c"]),
        ("<|user|>", ["user"]),
        ("...", []),
        ("", []),
    ],
)
def test_words_are_lower_cased_runs_of_letters_and_digits_and_single_letters_without_spaces(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_words_are_the_same_however_a_text_is_composed_and_spaced(text: str) -> None:
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    assert words_of(composed) == words_of(decomposed) == words_of(f" \n{text}...")


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 5))
def test_grams_are_the_distinct_runs_or_the_one_of_all_words(words: list[str], size: int) -> None:
    expected = {tuple(words[start : start + size]) for start in range(max(1, len(words) - size + 1))} if words else set()
    assert grams_of(words, size) == expected


def test_parts_are_turns_or_what_stands_between_the_marks_of_a_template() -> None:
    assert parts_of(Example(messages=TURNS)) == ["One two", "three"]
    assert plain_text(Example(messages=TURNS)) == "One two\nthree"
    exact = Example(prompt="<|user|>\nOne two\n<|im_start|>x<|assistant|>\nSo:", completion=" three <|end|>")
    assert words_of(plain_text(exact)) == ["one", "two", "x", "so", "three", "end"]
    assert [words_of(part) for part in parts_of(exact)] == [[], ["one", "two"], ["x"], ["so"], ["three", "end"]]
