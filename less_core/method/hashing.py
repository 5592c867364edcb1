"""A counter-based source of random bits: the same on every device, in any order, with no state.

SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014) read at any position of its
sequence. torch has no unsigned 64-bit shift, so the sign bits that an arithmetic shift drags in are masked off.
"""

import hashlib

import torch
from torch import Tensor

WORD = 64  # bits a call


def _signed(value: int) -> int:
    """Return the signed 64-bit integer with the same bits as ``value mod 2**64``."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def derive_seed(*parts: int | str) -> int:
    """Return a signed 64-bit seed that differs for different parts."""
    text = "\x1f".join(str(part) for part in parts)
    return _signed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def random_words(seed: int, counters: Tensor) -> Tensor:
    """Return 64 random bits for each int64 counter, as int64 of the same shape and device."""
    z = (counters + 1) * _GOLDEN + seed
    z = (z ^ _shift_right(z, 30)) * _MIX_1
    z = (z ^ _shift_right(z, 27)) * _MIX_2
    return z ^ _shift_right(z, 31)


def random_signs(seed: int, start: int, count: int, device: torch.device) -> Tensor:
    """Return int8 [count] of +1 and -1 for coordinates ``start, start + 1, ...``; bit c mod 64 of word c // 64."""
    first = start // WORD
    words = random_words(seed, torch.arange(first, (start + count - 1) // WORD + 1, device=device))
    bits = (words[:, None] >> torch.arange(WORD, device=device)) & 1
    offset = start - first * WORD
    return (1 - 2 * bits).to(torch.int8).flatten()[offset : offset + count]


def _shift_right(z: Tensor, bits: int) -> Tensor:
    return (z >> bits) & ((1 << (64 - bits)) - 1)
