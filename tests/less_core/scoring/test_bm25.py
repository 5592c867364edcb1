"""BM25 against its formula, written out for one word of one text at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from less_core.scoring.bm25 import Bm25

K1, B = 1.5, 0.75
TEXTS = st.lists(st.lists(st.sampled_from("abcdef"), max_size=6).map(" ".join), min_size=1, max_size=7).filter(any)
QUERY = st.lists(st.sampled_from("abcdefxyz"), max_size=6).map(" ".join)


def literal(texts: list[str], query: str) -> list[float]:
    """Lucene's variant; a word that stands twice in the query counts twice."""
    documents = [text.split() for text in texts]
    mean_length = sum(len(words) for words in documents) / len(documents)
    scores = []
    for words in documents:
        score = 0.0
        for word in query.split():
            holders = sum(word in other for other in documents)
            if holders == 0:
                continue
            idf = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
            frequency = words.count(word)
            score += idf * frequency / (frequency + K1 * (1 - B + B * len(words) / mean_length))
        scores.append(score)
    return scores


@settings(deadline=None)
@given(TEXTS, QUERY)
def test_bm25_of_a_query_is_the_formula(texts: list[str], query: str) -> None:
    scores = Bm25(texts).scores([query], [0], 1)
    assert scores.dtype == np.float32
    assert scores[:, 0].tolist() == pytest.approx(literal(texts, query), abs=1e-5)


@settings(deadline=None)
@given(TEXTS, st.lists(st.tuples(QUERY, st.integers(0, 2)), max_size=5))
def test_bm25_of_a_subtask_is_the_mean_over_its_target_examples(texts: list[str], queries: list[tuple[str, int]]) -> None:
    queries = [*queries, ("a", 0), ("b", 1), ("c", 2)]  # every subtask has one
    scores = Bm25(texts).scores([query for query, _ in queries], [subtask for _, subtask in queries], 3)
    for subtask in range(3):
        each = [literal(texts, query) for query, of in queries if of == subtask]
        assert scores[:, subtask].tolist() == pytest.approx([sum(column) / len(each) for column in zip(*each, strict=True)], abs=1e-5)


def test_bm25_counts_a_repeated_word_of_the_query_each_time() -> None:
    once, twice = Bm25(["a b", "b c c", "d"]).scores(["b", "b b"], [0, 1], 2).T
    assert once[0] > 0
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)


def test_bm25_ignores_words_that_the_pool_has_not_and_an_empty_query_scores_nothing() -> None:
    bm25 = Bm25(["a b", "b c"])
    plain, with_others, unknown, empty = bm25.scores(["a", "x a y x", "x y", ""], [0, 1, 2, 3], 4).T
    assert np.array_equal(plain, with_others)
    assert not unknown.any()
    assert not empty.any()


def test_bm25_of_an_empty_text_is_zero_and_it_counts_among_the_texts() -> None:
    scores = Bm25(["", "a b", "b", ""]).scores(["a b"], [0], 1)[:, 0]
    assert scores[0] == scores[3] == 0
    assert scores.tolist() == pytest.approx(literal(["", "a b", "b", ""], "a b"), abs=1e-6)
    assert scores[1] > Bm25(["a b", "b"]).scores(["a b"], [0], 1)[0, 0]  # rarer words, a text long for its pool


def test_bm25_of_a_pool_without_a_word_is_zero() -> None:
    assert Bm25(["", "?!"]).scores(["a"], [0], 1).tolist() == [[0.0], [0.0]]


def test_bm25_goes_by_words_whatever_their_case_and_marks() -> None:
    texts = ["Red dog, blue cat", "one TWO three", "cat"]
    one = Bm25(texts).scores(["red cat two"], [0], 1)
    other = Bm25([text.upper() + "!" for text in texts]).scores(["(Red) CAT; two?"], [0], 1)
    assert one.any()
    assert np.array_equal(one, other)


def test_bm25_does_not_depend_on_the_order_of_texts() -> None:
    texts = ["a b c", "b b", "c d e a", "", "e"]
    bm25 = Bm25(texts).scores(["a b e", "c"], [0, 0], 1)
    assert np.array_equal(Bm25(texts[::-1]).scores(["a b e", "c"], [0, 0], 1), bm25[::-1])
