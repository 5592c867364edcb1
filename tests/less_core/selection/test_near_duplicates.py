"""Near-duplicates among texts met one after the other."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import outputs_by_hash_seed

from less_core.data.words import grams_of, words_of
from less_core.selection.near_duplicates import NearDuplicates


def words(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(count)]


def changed(text: list[str], every: int) -> list[str]:
    """The text with each `every`-th word replaced."""
    return [f"x{place}" if place % every == every // 2 else word for place, word in enumerate(text)]


def similarity(one: list[str], other: list[str]) -> float:
    left, right = grams_of(one, 3), grams_of(other, 3)
    return len(left & right) / len(left | right)


def test_equal_text_is_a_duplicate_whatever_its_case_and_punctuation() -> None:
    seen = NearDuplicates(1)
    assert seen.is_new("a", "One two, three four.")
    assert not seen.is_new("b", "one TWO three -- four!")
    assert seen.is_new("c", "one two three five")


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.9])
def test_texts_well_above_the_threshold_are_duplicates_and_well_below_are_not(threshold: float) -> None:
    wrong = 0
    for seed in range(40):
        original = words(300, seed)
        for every in (4, 8, 15, 30, 60, 120):
            other = changed(original, every)
            true = similarity(original, other)
            if abs(true - threshold) > 0.12:  # some three standard errors of the estimate
                seen = NearDuplicates(threshold)
                seen.is_new("a", " ".join(original))
                wrong += seen.is_new("b", " ".join(other)) != (true < threshold)
    assert wrong <= 2


def test_only_what_was_accepted_is_remembered() -> None:
    first, other = words(400, 0), words(400, 1)
    like_first, unlike_first = first[:340] + other[340:], first[:280] + other[280:]
    assert similarity(first, like_first) > 0.7
    assert similarity(like_first, unlike_first) > 0.7
    assert similarity(first, unlike_first) < 0.55
    seen = NearDuplicates(0.62)
    assert [seen.is_new(str(number), " ".join(text)) for number, text in enumerate([first, like_first, unlike_first])] == [
        True,
        False,
        True,
    ]


def test_first_of_near_duplicates_stays() -> None:
    texts = [words(80, seed) for seed in range(5)]
    met = [text if copy == 0 else changed(text, 40) for copy in range(3) for text in texts]
    seen = NearDuplicates(0.6)
    assert [seen.is_new(str(number), " ".join(text)) for number, text in enumerate(met)] == [True] * 5 + [False] * 10


def test_unlike_texts_are_all_new() -> None:
    seen = NearDuplicates(0.5)
    assert all(seen.is_new(str(seed), " ".join(words(30, seed))) for seed in range(500))


def test_text_without_words_is_always_new() -> None:
    seen = NearDuplicates(0.5)
    assert [seen.is_new(str(number), text) for number, text in enumerate(["", "...", "", "!?"])] == [True] * 4


def test_texts_of_fewer_than_three_words_are_compared_whole() -> None:
    seen = NearDuplicates(0.5)
    assert [seen.is_new(str(n), text) for n, text in enumerate(["yes", "Yes.", "no", "yes no", "yes, no"])] == [
        True,
        False,
        True,
        True,
        False,
    ]


def test_scripts_without_spaces_are_compared_by_letters() -> None:
    seen = NearDuplicates(0.7)
    text = "北京是中华人民共和国的首都和政治文化中心位于华北平原的北部历史悠久人口众多"
    assert seen.is_new("a", text)
    assert not seen.is_new("b", f"{text}。今天")
    assert seen.is_new("c", "上海是中国最大的城市也是重要的经济和金融中心靠近东海")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab c", max_size=20), max_size=12), st.sampled_from([0.3, 0.8, 1.0]))
def test_exact_duplicates_never_both_stay(texts: list[str], threshold: float) -> None:
    seen = NearDuplicates(threshold)
    kept = [text for number, text in enumerate(texts) if seen.is_new(str(number), text)]
    worded = [tuple(words_of(text)) for text in kept if words_of(text)]
    assert len(set(worded)) == len(worded)


def test_answers_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "from less_core.selection.near_duplicates import NearDuplicates as N; n = N(0.5);"
        "print([n.is_new(str(i), ' '.join(f'w{(i // 3 * j + (j % (5 + i) == 0)) % 41}' for j in range(60))) for i in range(30)])"
    )
    outputs = outputs_by_hash_seed(code)
    [output] = outputs
    assert b"True" in output
    assert b"False" in output
