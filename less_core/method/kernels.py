"""Triton kernels for a GPU; what they compute is stated in `adam.py`, `projection.py` and `products.py`, which tests compare them with.

Projections make random bits on the fly from a counter (SplitMix64, `hashing.py`), so no table of signs and no matrix is read from memory.
No two programs add to the same sum, so the order of its terms, and the result, is the same in every run. It does not depend on the batch
either, but for products of more than 32 updates at once, which are summed in shorter steps; the sketch's is that of `Sketch.add`, whatever
the slices.
"""

# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False
# Kernels are of a language of their own, which has no types.

import torch
import triton
import triton.language as tl
from torch import Tensor

from less_core.method.adam import EPSILON, Fidelity

GOLDEN = tl.constexpr(0x9E3779B97F4A7C15)
MIX_1 = tl.constexpr(0xBF58476D1CE4E5B9)
MIX_2 = tl.constexpr(0x94D049BB133111EB)
ONE = tl.constexpr(0x3F800000)  # the bits of 1.0 in float32; the highest is the sign
KINDS = {"sgd": 0, "sign": 1, "less-code": 2, "paper": 3}

BINS, ROWS = 128, 4  # of a program of the sketch: gradients are read once, moments and hashes serve all its rows
DENSE_BINS = 128  # of a program of the dense projection
FEWEST, MOST = 16, 64  # vectors of a program that multiplies: tensor cores take no fewer; what they are multiplied with is made once
COORDINATES = 64  # of a step of such a program
PARTS, PRODUCT_PARTS = 2048, 1024  # programs for one tile of vectors, so that even a small batch fills a GPU; each sums up some coordinates


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
    corrected = kind == "adam" and fidelity == "paper"
    correction1, correction2 = (1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)) if corrected else (1.0, 1.0)
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
        start // dim * dim - start,
        len(shifts),
        sign_seed,
        beta1 / correction1,
        (1 - beta1) / correction1,
        beta2 / correction2,
        (1 - beta2) / correction2,
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
    rows = _tile(batch)
    tiles = triton.cdiv(dim, DENSE_BINS)
    size = COORDINATES * triton.cdiv(n, COORDINATES * max(1, PARTS // tiles))
    parts = torch.empty(triton.cdiv(n, size), batch, dim, device=out.device)
    grid = (tiles, triton.cdiv(batch, rows), len(parts))
    _rademacher_parts[grid](
        parts, values, batch, n, dim, start, size, seed, ROWS=rows, BINS=DENSE_BINS, COORDINATES=COORDINATES, num_warps=8
    )
    out.add_(parts.sum(dim=0), alpha=dim**-0.5)


def products_add(products: Tensor, squares: Tensor | None, a: Tensor, b: Tensor) -> None:
    """Add the parts that ``a @ b.T`` and the squared lengths of `a` are sums of; few, very long vectors, each read once, as it is stored.

    Args:
        products: float32 [PRODUCT_PARTS, n, m], added to.
        squares: float64 [PRODUCT_PARTS, n], added to; None where lengths are not wanted.
        a: float32 [n, coordinates], each row without gaps.
        b: float32 or bfloat16 [m, coordinates], likewise.
    """
    n, coordinates = a.shape
    m = len(b)
    left, right = _tile(n), _tile(m)
    size = COORDINATES * triton.cdiv(coordinates, COORDINATES * PRODUCT_PARTS)
    grid = (triton.cdiv(coordinates, size), triton.cdiv(n, left), triton.cdiv(m, right))
    sizes = (n, m, coordinates, a.stride(0), b.stride(0), size)
    step = COORDINATES // 2 if left == MOST else COORDINATES  # of so wide a tile more would not fit into registers
    _product_parts[grid](products, squares, a, b, *sizes, LEFT=left, RIGHT=right, STEP=step)


def _tile(vectors: int) -> int:
    return max(FEWEST, min(MOST, triton.next_power_of_2(vectors)))


@triton.jit
def _random_words(seed, counters):
    z = (counters + 1).to(tl.uint64) * GOLDEN + seed.to(tl.uint64)
    z = (z ^ (z >> 30)) * MIX_1
    z = (z ^ (z >> 27)) * MIX_2
    return z ^ (z >> 31)


# A kernel is compiled anew for every integer that is 1 or a multiple of 16, unless it is told not to.
@triton.jit(do_not_specialize=["batch", "n", "dim", "start", "origin", "blocks", "seed"])
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
    origin,  # the first block's place in the slice: 0 or below
    blocks,
    seed,
    of_first,  # the numerator is of_first m + of_gradient g
    of_gradient,
    of_second,  # and under the root stands of_second v + of_square g^2
    of_square,
    KIND: tl.constexpr,
    KEEP: tl.constexpr,
    EPSILON: tl.constexpr,
    BINS: tl.constexpr,
    ROWS: tl.constexpr,
):
    bins = tl.program_id(0) * BINS + tl.arange(0, BINS)
    # Bins of which the compiler does not see that they stand side by side in `out`. Else a thread gets four of them in one row, and hashes
    # and moments are made for every row anew, which costs three times the instructions. So it gets a bin in all rows.
    bins = tl.where(bins < dim, bins, -1)
    rows = (tl.program_id(1) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    into = out + rows * dim + bins[None, :]
    whose = (rows < batch) & (bins >= 0)[None, :]
    total = tl.load(into, mask=whose, other=0.0)
    of_rows = gradient + rows * n
    # Two blocks at a time, so that more reads are on their way at once.
    for block in tl.range(0, blocks, loop_unroll_factor=2):
        within = bins - tl.load(shifts + block).to(tl.int32)  # which coordinate of the block is rolled into each bin
        place = tl.where(within < 0, within + dim, within) + block * dim + origin
        inside = (bins >= 0) & (place >= 0) & (place < n)
        here = of_rows + place[None, :]
        mask = whose & inside[None, :]
        update = tl.load(here, mask=mask, other=0.0)
        if KIND == 1:
            broken = update - update  # 0, or NaN where there is no sign to take
            update = tl.where(update > 0, 1.0, tl.where(update < 0, -1.0, update)) + broken
        if KIND >= 2:
            m = tl.load(first + place, mask=inside, other=0.0)[None, :]
            v = tl.load(second + place, mask=inside, other=0.0)[None, :]
            square = of_second * v + of_square * update * update
            update = of_first * m + of_gradient * update
            update = update * tl.rsqrt(square + EPSILON) if KIND == 2 else update / (tl.sqrt(square) + EPSILON)
        if KEEP:
            tl.store(here, update, mask=mask)
        coordinate = start + place.to(tl.int64)
        negative = (_random_words(seed, coordinate >> 6) >> (coordinate & 63).to(tl.uint64)) & 1
        total += tl.where((negative == 1)[None, :], -update, update)  # 0 where the mask is not
    tl.store(into, total, mask=whose)


@triton.jit(do_not_specialize=["batch", "start", "seed"])
def _rademacher_parts(parts, values, batch, n, dim, start, size, seed, ROWS: tl.constexpr, BINS: tl.constexpr, COORDINATES: tl.constexpr):
    bins = tl.program_id(0) * BINS + tl.arange(0, BINS)[:, None]
    rows = (tl.program_id(1) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    halves = tl.program_id(0) * (BINS // 32) + tl.arange(0, BINS // 32)[:, None]  # of words; shifts of 32 bits cost a third
    total = tl.full((BINS, ROWS), 0.0, tl.float32)
    begin = tl.program_id(2) * size
    for done in range(begin, tl.minimum(begin + size, n), COORDINATES):
        place = done + tl.arange(0, COORDINATES)
        word = _random_words(seed, (start + place.to(tl.int64))[None, :] * (dim // 64) + halves // 2)
        half = tl.where(halves % 2 == 1, word >> 32, word).to(tl.uint32)
        bits = (half[:, None, :] >> tl.arange(0, 32)[None, :, None].to(tl.uint32)).reshape(BINS, COORDINATES)
        signs = ((bits << 31) | ONE).to(tl.float32, bitcast=True)
        mask = (rows[:, None] < batch) & (place[None, :] < n)
        piece = tl.load(values + rows[:, None] * n + place[None, :], mask=mask, other=0.0)
        # Signs are exact in tf32, and the two parts of a value hold 24 bits: products are float32's, at two thirds of the cost of tf32x3.
        # Tensor cores cut off what they add up, so their sums are short, and added up by rounding.
        high = _round_to_tf32(piece)
        low = _round_to_tf32(piece - high)
        product = tl.dot(signs, tl.trans(low), input_precision="tf32")
        product = tl.dot(signs, tl.trans(high), product, input_precision="tf32")
        total += product
    into = parts + (tl.program_id(2) * batch + rows[None, :]) * dim + bins
    tl.store(into, total, mask=(rows[None, :] < batch) & (bins < dim))


@triton.jit(do_not_specialize=["n", "m"])
def _product_parts(
    products, squares, a, b, n, m, coordinates, a_stride, b_stride, size, LEFT: tl.constexpr, RIGHT: tl.constexpr, STEP: tl.constexpr
):
    left = (tl.program_id(1) * LEFT + tl.arange(0, LEFT)).to(tl.int64)[:, None]
    right = (tl.program_id(2) * RIGHT + tl.arange(0, RIGHT)).to(tl.int64)[:, None]
    total = tl.full((RIGHT, LEFT), 0.0, tl.float32)
    square = tl.full((LEFT, 1), 0.0, tl.float32)
    begin = tl.program_id(0) * size
    for done in range(begin, tl.minimum(begin + size, coordinates), STEP):
        place = done + tl.arange(0, STEP)[None, :]
        x = tl.load(a + left * a_stride + place, mask=(left < n) & (place < coordinates), other=0.0)
        square += tl.sum(x * x, axis=1, keep_dims=True)
        y = tl.load(b + right * b_stride + place, mask=(right < m) & (place < coordinates), other=0.0).to(tl.float32)
        # As in the dense projection: two parts hold a value's 24 bits; the product of two small parts is below float32's rounding.
        high, high_y = _round_to_tf32(x), _round_to_tf32(y)
        product = tl.dot(high_y, tl.trans(_round_to_tf32(x - high)), input_precision="tf32")
        if b.dtype.element_ty == tl.float32:
            product = tl.dot(_round_to_tf32(y - high_y), tl.trans(high), product, input_precision="tf32")
        product = tl.dot(high_y, tl.trans(high), product, input_precision="tf32")
        total += product
    # Added in memory, which takes no registers; nobody else adds to the same place.
    into = products + (tl.program_id(0) * n + tl.trans(left)) * m + right
    tl.atomic_add(into, total, mask=(tl.trans(left) < n) & (right < m), sem="relaxed")
    if squares is not None:
        own = (left < n) & (tl.program_id(2) == 0)
        tl.atomic_add(squares + tl.program_id(0) * n + left, square.to(tl.float64), mask=own, sem="relaxed")


@triton.jit
def _round_to_tf32(x):
    rounded = ((x.to(tl.uint32, bitcast=True) + 0x1000) & 0xFFFFE000).to(tl.float32, bitcast=True)
    return tl.where(x == x, rounded, x)  # the bits of the NaN that a GPU makes would be rounded to zero
