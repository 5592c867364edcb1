"""The counter-based bits against the published generator and against a slow loop over Python's integers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from less_core.method.hashing import WORD, derive_seed, random_signs, random_words

MASK = (1 << 64) - 1
CPU = torch.device("cpu")


def splitmix64(seed: int, count: int) -> list[int]:
    """The published generator, one output after another."""
    state, out = seed & MASK, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out.append(z ^ (z >> 31))
    return out


def unsigned(words: torch.Tensor) -> list[int]:
    return [word & MASK for word in words.tolist()]


def test_random_words_of_seed_zero_are_the_published_outputs() -> None:
    assert unsigned(random_words(0, torch.arange(3))) == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@given(seed=st.integers(-(2**63), 2**63 - 1), start=st.integers(0, 50))
def test_random_words_at_any_position_equal_the_sequential_generator(seed: int, start: int) -> None:
    assert unsigned(random_words(seed, torch.arange(start, start + 8))) == splitmix64(seed, start + 8)[start:]


@given(start=st.integers(0, 10**12), count=st.integers(1, 200))
def test_random_signs_are_the_bits_of_the_words(start: int, count: int) -> None:
    signs = random_signs(7, start, count, CPU)
    places = range(start, start + count)
    words = {number: unsigned(random_words(7, torch.tensor([number])))[0] for number in {place // WORD for place in places}}
    assert signs.tolist() == [1 - 2 * (words[place // WORD] >> (place % WORD) & 1) for place in places]


def test_random_signs_are_balanced_at_every_bit() -> None:
    signs = random_signs(3, 0, 20_000 * WORD, CPU).view(-1, WORD).double().mean(dim=0)
    assert signs.abs().max() < 5 / 20_000**0.5


@pytest.mark.parametrize("other", [(0, "sketch-shift"), (1, "sketch-sign"), (0, "sketch", "sign"), (0,), ("0sketch-sign",)])
def test_derive_seed_differs_for_different_parts(other: tuple[int | str, ...]) -> None:
    assert derive_seed(*other) != derive_seed(0, "sketch-sign")


@given(st.lists(st.one_of(st.integers(), st.text(st.characters(codec="utf-8"))), max_size=4))
def test_derive_seed_is_the_same_every_time_and_fits_a_signed_word(parts: list[int | str]) -> None:
    assert derive_seed(*parts) == derive_seed(*parts)
    assert -(2**63) <= derive_seed(*parts) < 2**63
