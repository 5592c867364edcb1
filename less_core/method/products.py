"""Inner products of a few vectors with a few others, all very long."""

from collections.abc import Sequence

import torch
from torch import Tensor

from less_core.method.projection import has_kernels

BLOCK = 64  # rows that oneDNN lays out together; it pads fewer with zeros
WASTE = 8  # a block that would be padded by more than one in so many stays as it is
SOME = 8  # updates that products are prepared for; as many or as few as a batch has are multiplied as fast


def laid_out_rows(rows: int) -> int:
    """Return how many rows' memory `lay_out` takes for so many float32 rows; on some devices it takes no more than for the rows."""
    whole, rest = divmod(rows, BLOCK)
    return BLOCK * whole + (BLOCK if _fills(rest) else rest)


def lay_out(rows: Tensor) -> list[Tensor]:
    """Return rows [m, coordinates] as the blocks of rows that `add_products` reads fastest.

    Of such a shape a product takes as long as reading the rows, if it reads them once. On a CPU a BLAS copies them into blocks of its own
    first, in every product, which takes twice as long as that; here oneDNN does it once. On a GPU a kernel reads them as they are.

    Args:
        rows: float32 or bfloat16. What is returned may be a part of it.
    """
    if rows.device.type != "cpu" or rows.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return [rows]
    blocks = rows.split(BLOCK)
    # A copy of what stays as it is, so that nothing keeps the memory of the rest.
    return [torch.ops.mkldnn._reorder_linear_weight(b, SOME) if _fills(len(b)) else b if len(blocks) == 1 else b.clone() for b in blocks]


def add_products(out: Tensor, a: Tensor, rows: Sequence[Tensor], squares: Tensor | None = None) -> None:
    """Add ``a @ rows.T`` to `out`, with float32 sums, and the squared lengths of `a` to `squares`.

    Args:
        out: float32 [n, m].
        a: float32 [n, coordinates].
        rows: [m, coordinates] as `lay_out` returns them.
        squares: float64 [n]; None where lengths are not wanted.
    """
    if has_kernels(out.device):
        from less_core.method.kernels import products_add

        (b,) = rows
        return products_add(out, a, b, squares)
    if squares is not None:
        squares.add_(torch.linalg.vecdot(a, a))
    for part, b in zip(out.split([block.shape[0] for block in rows], dim=1), rows, strict=True):
        if b.is_mkldnn:
            part.add_(torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))
        else:
            part.addmm_(a, b.to(a.dtype).T)


def _fills(rows: int) -> bool:
    return WASTE * (BLOCK - rows) <= BLOCK
