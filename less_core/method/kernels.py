"""Triton kernels for a GPU; what they compute is stated in `adam.py` and `projection.py`, which tests compare them with.

Both make random bits on the fly from a counter (SplitMix64, `hashing.py`), so no table of signs and no matrix is read from memory. Neither
uses atomics: a program owns some bins of some examples, so the order of its sums, and the result, is the same in every run.
"""

# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False
# Kernels are of a language of their own, which has no types.

import triton
import triton.language as tl
from torch import Tensor

from less_core.method.adam import EPSILON, Fidelity

GOLDEN = tl.constexpr(0x9E3779B97F4A7C15)
MIX_1 = tl.constexpr(0xBF58476D1CE4E5B9)
MIX_2 = tl.constexpr(0x94D049BB133111EB)
KINDS = {"sgd": 0, "sign": 1, "less-code": 2, "paper": 3}

BINS, ROWS = 128, 4  # of a program of the sketch: gradients are read once, moments and hashes serve all its rows
DENSE_ROWS, DENSE_BINS, COORDINATES = 32, 64, 32  # of a program of the dense projection


def sketch_update(
    out: Tensor,
    gradient: Tensor,
    moments: tuple[Tensor, Tensor] | None,
    shifts: Tensor,
    *,
    start: int,
    sign_seed: int,
    kind: str,
    fidelity: Fidelity = "less-code",
    step: int = 0,
    beta1: float = 0.0,
    beta2: float = 0.0,
    keep: bool = False,
) -> None:
    """Turn gradients into updates and add their sketch to `out`, in one pass over the gradients.

    Args:
        out: float32 [batch, dim], added to.
        gradient: float32 [batch, n], contiguous, coordinates ``start`` to ``start + n``; with `keep` overwritten by the updates.
        moments: Adam's two, float32 [n] each; None for the other kinds.
        shifts: int64 [blocks], of each block of `dim` coordinates that the slice touches.
        start: Place of the slice in the flattened gradient.
        sign_seed: Of the sketch's signs.
        kind: adam, sgd or sign.
        fidelity: Which of Adam's two forms.
        step: Optimizer steps taken so far.
        beta1: Adam's.
        beta2: Adam's.
        keep: Whether the updates are wanted, for exact products.
    """
    batch, n = gradient.shape
    dim = out.shape[1]
    first, second = moments or (gradient, gradient)
    grid = (triton.cdiv(dim, BINS), triton.cdiv(batch, ROWS))
    _sketch_update[grid](
        out,
        gradient,
        first,
        second,
        shifts,
        batch,
        n,
        dim,
        start,
        len(shifts),
        sign_seed,
        beta1,
        beta2,
        1 - beta1 ** (step + 1),
        1 - beta2 ** (step + 1),
        KIND=KINDS[fidelity if kind == "adam" else kind],
        KEEP=keep,
        EPSILON=EPSILON,
        BINS=BINS,
        ROWS=ROWS,
    )


def rademacher_add(out: Tensor, values: Tensor, *, start: int, seed: int) -> None:
    """Add the dense projection of a slice to `out`; the matrix of `projection.Rademacher` is made in registers.

    Args:
        out: float32 [batch, dim], added to; `dim` is a multiple of 64.
        values: float32 [batch, n], contiguous.
        start: Place of the slice in the flattened gradient.
        seed: Of the matrix.
    """
    batch, n = values.shape
    dim = out.shape[1]
    grid = (dim // DENSE_BINS, triton.cdiv(batch, DENSE_ROWS))
    _rademacher_add[grid](out, values, batch, n, dim, start, seed, dim**-0.5, ROWS=DENSE_ROWS, BINS=DENSE_BINS, COORDINATES=COORDINATES)


@triton.jit
def _random_words(seed, counters):
    z = (counters + 1).to(tl.uint64) * GOLDEN + seed.to(tl.uint64)
    z = (z ^ (z >> 30)) * MIX_1
    z = (z ^ (z >> 27)) * MIX_2
    return z ^ (z >> 31)


@triton.jit
def _sketch_update(
    out,
    gradient,
    first,
    second,
    shifts,
    batch,
    n,
    dim,
    start,
    blocks,
    seed,
    beta1,
    beta2,
    correction1,
    correction2,
    KIND: tl.constexpr,
    KEEP: tl.constexpr,
    EPSILON: tl.constexpr,
    BINS: tl.constexpr,
    ROWS: tl.constexpr,
):
    bins = tl.program_id(0) * BINS + tl.arange(0, BINS)
    rows = (tl.program_id(1) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    seed = tl.full((BINS,), 0, tl.int64) + seed
    total = tl.zeros((ROWS, BINS), tl.float32)
    begin = start // dim
    for block in range(blocks):
        shift = tl.load(shifts + block).to(tl.int32)
        within = bins - shift  # which coordinate of the block is rolled into each bin
        within = tl.where(within < 0, within + dim, within)
        coordinate = (begin + block).to(tl.int64) * dim + within
        place = coordinate - start
        inside = (bins < dim) & (place >= 0) & (place < n)
        bits = _random_words(seed, coordinate >> 6) >> (coordinate & 63).to(tl.uint64)
        signs = 1.0 - 2.0 * (bits & 1).to(tl.float32)
        here = rows[:, None] * n + place[None, :]
        mask = (rows[:, None] < batch) & inside[None, :]
        update = tl.load(gradient + here, mask=mask, other=0.0)
        if KIND == 1:
            update = tl.where(update > 0, 1.0, tl.where(update < 0, -1.0, update))
        if KIND >= 2:
            m = tl.load(first + place, mask=inside, other=0.0)[None, :]
            v = tl.load(second + place, mask=inside, other=0.0)[None, :]
            numerator = beta1 * m + (1 - beta1) * update
            square = beta2 * v + (1 - beta2) * update * update
            if KIND == 2:
                update = numerator / tl.sqrt(square + EPSILON)
            else:
                update = numerator / correction1 / (tl.sqrt(square / correction2) + EPSILON)
        if KEEP:
            tl.store(gradient + here, update, mask=mask)
        total += tl.where(mask, update * signs[None, :], 0.0)
    into = out + rows[:, None] * dim + bins[None, :]
    mask = (rows[:, None] < batch) & (bins[None, :] < dim)
    tl.store(into, tl.load(into, mask=mask, other=0.0) + total, mask=mask)


@triton.jit
def _rademacher_add(out, values, batch, n, dim, start, seed, scale, ROWS: tl.constexpr, BINS: tl.constexpr, COORDINATES: tl.constexpr):
    bins = tl.program_id(0) * BINS + tl.arange(0, BINS)  # of one word of every coordinate: BINS is 64
    rows = (tl.program_id(1) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    seed = tl.full((COORDINATES,), 0, tl.int64) + seed
    total = tl.zeros((ROWS, BINS), tl.float32)
    for done in range(0, n, COORDINATES):
        place = done + tl.arange(0, COORDINATES)
        word = (start + place.to(tl.int64)) * (dim // 64) + tl.program_id(0)
        bits = _random_words(seed, word)[:, None] >> (bins % 64)[None, :].to(tl.uint64)
        signs = 1.0 - 2.0 * (bits & 1).to(tl.float32)
        mask = (rows[:, None] < batch) & (place[None, :] < n)
        piece = tl.load(values + rows[:, None] * n + place[None, :], mask=mask, other=0.0)
        # Signs are exact in tf32; of a value three products with its parts keep all but the last of 24 bits.
        total += tl.dot(piece, signs, input_precision="tf32x3")
    into = out + rows[:, None] * dim + bins[None, :]
    mask = rows[:, None] < batch
    tl.store(into, tl.load(into, mask=mask, other=0.0) + total * scale, mask=mask)
