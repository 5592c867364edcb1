"""Random selection: uniform numbers that depend on seed, purpose and example, and on nothing else."""

import hashlib
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from less_core.scoring.random import random_scores

IDS = [f"{number:032x}" for number in range(2000)]


def test_random_scores_are_the_hash_of_purpose_seed_and_id_as_a_fraction() -> None:
    digest = hashlib.sha256(json.dumps(["random t", 3, "ab"], separators=(",", ":")).encode()).hexdigest()
    assert random_scores(["ab"], 3, "random t").tolist() == [int(digest[:32], 16) / 2**128]


@given(st.permutations(IDS[:8]), st.integers(0, 8))
def test_random_scores_do_not_depend_on_order_or_on_what_else_is_there(ids: list[str], count: int) -> None:
    whole = dict(zip(IDS, random_scores(IDS[:8], 0, "p").tolist(), strict=False))
    assert random_scores(ids[:count], 0, "p").tolist() == [whole[example_id] for example_id in ids[:count]]


def test_random_scores_are_uniform_between_0_and_1() -> None:
    scores = np.sort(random_scores(IDS, 0, "p"))
    assert scores[0] > 0
    assert scores[-1] < 1
    # Kolmogorov and Smirnov: one set of uniform numbers in 1,000 has a larger distance.
    distance = np.abs(scores - (np.arange(len(scores)) + 0.5) / len(scores)).max()
    assert distance < 1.95 / len(scores) ** 0.5


def test_random_scores_of_other_seeds_and_purposes_have_nothing_to_do_with_each_other() -> None:
    drawn = [random_scores(IDS, seed, purpose) for seed in (0, 1) for purpose in ("random t", "random u", "dsir t")]
    others = np.corrcoef(drawn)[np.triu_indices(len(drawn), k=1)]
    assert np.abs(others).max() < 4 / len(IDS) ** 0.5
