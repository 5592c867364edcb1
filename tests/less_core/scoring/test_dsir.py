"""DSIR against a literal dictionary of buckets, and the draw without replacement that Gumbel noise makes."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from less_core.scoring.dsir import Dsir, gumbel

SMOOTHING = 1e-8
TEXT = st.lists(st.sampled_from(["red", "dog", "cat", "one", "two", "is"]), max_size=6).map(" ".join)


def literal_counts(text: str) -> Counter[int]:
    """How often each of 10,000 buckets is hit by a text's words and pairs of neighbours."""
    words = text.split()
    grams = words + [words[i] + " " + words[i + 1] for i in range(len(words) - 1)]
    return Counter(abs(murmurhash3_32(gram, seed=0)) % 10_000 for gram in grams)


def literal_log_weights(pool: list[str], target: list[str]) -> list[float]:
    shares = []
    for texts in (target, pool):
        counts: Counter[int] = sum((literal_counts(text) for text in texts), Counter())
        shares.append({bucket: count / sum(counts.values()) for bucket, count in counts.items()})
    of_target, of_pool = shares
    weights = []
    for text in pool:
        weight = 0.0
        for bucket, count in literal_counts(text).items():
            weight += count * math.log((of_target.get(bucket, 0.0) + SMOOTHING) / (of_pool.get(bucket, 0.0) + SMOOTHING))
        weights.append(weight)
    return weights


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5), st.lists(TEXT, min_size=1, max_size=4))
def test_dsir_sums_the_log_ratio_of_shares_over_unigrams_and_bigrams(pool: list[str], target: list[str]) -> None:
    weights = Dsir(pool).log_weights(target)
    assert weights.dtype == np.float64
    assert weights.tolist() == pytest.approx(literal_log_weights(pool, target), rel=1e-9, abs=1e-9)


def test_dsir_tells_texts_of_the_same_words_by_their_order() -> None:
    one, other = Dsir(["red dog cat", "cat dog red"]).log_weights(["red dog cat"])
    assert one > other + 1


def test_dsir_of_an_empty_text_is_zero() -> None:
    assert Dsir(["", "red dog"]).log_weights(["red"])[0] == 0


def test_dsir_of_a_target_without_words_is_finite() -> None:
    weights = Dsir(["red dog", "cat"]).log_weights([""])
    assert np.isfinite(weights).all()
    assert (weights < 0).all()


def test_dsir_of_one_pool_answers_for_several_targets() -> None:
    dsir = Dsir(["red dog", "cat one"])
    assert dsir.log_weights(["red dog"]).tolist() == pytest.approx(literal_log_weights(["red dog", "cat one"], ["red dog"]))
    assert dsir.log_weights(["cat one"]).tolist() == pytest.approx(literal_log_weights(["red dog", "cat one"], ["cat one"]))


def test_gumbel_is_its_formula() -> None:
    assert gumbel(np.array([0.1, 0.5, 0.9])).tolist() == pytest.approx([-math.log(-math.log(u)) for u in (0.1, 0.5, 0.9)])


def test_largest_of_log_weight_and_gumbel_noise_are_draws_without_replacement_by_weight() -> None:
    weights, draws, taken = [0.05, 0.1, 0.15, 0.3, 0.4], 40_000, 3
    noise = gumbel(np.random.default_rng(0).uniform(size=(draws, len(weights))))
    order = np.argsort(-(np.log(weights) + noise), axis=1)[:, :taken]
    found = Counter(map(tuple, order.tolist()))
    for drawn in itertools.permutations(range(len(weights)), taken):
        chance, left = 1.0, 1.0
        for item in drawn:
            chance *= weights[item] / left
            left -= weights[item]
        assert abs(found[drawn] / draws - chance) < 5 * (chance * (1 - chance) / draws) ** 0.5, drawn
