"""Inner products of a few vectors with a few others, all very long."""

import torch
from torch import Tensor

from less_core.method.projection import has_kernels

PIECE = 2048  # coordinates: so much of some fifty vectors stays in a core's cache


def add_products(out: Tensor, a: Tensor, b: Tensor, squares: Tensor | None = None) -> None:
    """Add ``a @ b.T`` to `out`, in float32, and the squared lengths of `a` to `squares`.

    Of such a shape a product takes as long as reading `b`. On a CPU a BLAS copies all of `b` into blocks of its own first, which takes
    longer than that; many products of short pieces, summed, need no copy. On a GPU it is a float32 copy of bfloat16 that would.

    Args:
        out: float32 [n, m].
        a: float32 [n, coordinates], few rows.
        b: float32 or bfloat16 [m, coordinates], few rows.
        squares: float64 [n]; None where lengths are not wanted.
    """
    if has_kernels(out.device):
        from less_core.method.kernels import products_add

        return products_add(out, a, b, squares)
    if squares is not None:
        squares.add_(torch.linalg.vecdot(a, a))
    b = b.to(a.dtype)
    whole = 0
    if out.device.type == "cpu":
        whole = a.shape[1] - a.shape[1] % PIECE
        pieces = (whole // PIECE, PIECE)
        left, right = a[:, :whole].unflatten(1, pieces), b[:, :whole].unflatten(1, pieces)
        out.add_((left.transpose(0, 1) @ right.permute(1, 2, 0)).sum(0))
    out.addmm_(a[:, whole:], b[:, whole:].T)
