"""Inner products of a few vectors with a few others, all very long."""

from collections.abc import Sequence

import torch
from torch import Tensor

from less_core.method.projection import has_kernels

BLOCK = 64  # rows that oneDNN lays out together; it pads fewer with zeros
WASTE = 8  # a block that would be padded by more than one in so many stays as it is
UPDATES = 8  # that rows are laid out for; fewer and more are multiplied as fast (docs/LOG.md)


def laid_out_rows(rows: int) -> int:
    """Return how many rows' memory `lay_out` takes for so many float32 rows; on some devices it takes no more than for the rows."""
    whole, rest = divmod(rows, BLOCK)
    return BLOCK * whole + (BLOCK if _fills(rest) else rest)


def lay_out(rows: Tensor) -> list[Tensor]:
    """Return rows [m, coordinates] as the blocks of rows that `Products` reads fastest.

    Of such a shape a product takes as long as reading the rows, if it reads them once. On a CPU a BLAS copies them into blocks of its own
    first, in every product, which takes twice as long as that; here oneDNN does it once. On a GPU a kernel reads them as they are.

    Args:
        rows: float32 or bfloat16. What is returned may be a part of it.
    """
    if rows.device.type != "cpu" or rows.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return [rows]
    blocks = rows.split(BLOCK)
    # A copy of what stays as it is, so that nothing keeps the memory of the rest.
    return [torch.ops.mkldnn._reorder_linear_weight(b, UPDATES) if _fills(len(b)) else b if len(blocks) == 1 else b.clone() for b in blocks]


class Products:
    """Inner products of updates with rows, and the updates' lengths, summed over one part of their coordinates after the other.

    Args:
        updates: n.
        rows: m.
        device: Of both.
        lengths: Whether they are wanted.
    """

    def __init__(self, updates: int, rows: int, device: torch.device, *, lengths: bool) -> None:
        self._by_kernel = has_kernels(device)
        parts = 1
        if self._by_kernel:
            from less_core.method.kernels import PRODUCT_PARTS

            parts = PRODUCT_PARTS  # a program adds to its own
        self._products = torch.zeros(parts, updates, rows, device=device)
        self._squares = torch.zeros(parts, updates, dtype=torch.float64, device=device) if lengths else None

    def add(self, a: Tensor, rows: Sequence[Tensor]) -> None:
        """Add a part, with float32 sums.

        Args:
            a: float32 [n, coordinates].
            rows: [m, coordinates] as `lay_out` returns them.
        """
        if self._by_kernel:
            from less_core.method.kernels import products_add

            (b,) = rows
            return products_add(self._products, self._squares, a, b)
        if self._squares is not None:
            self._squares[0] += torch.linalg.vecdot(a, a)
        for into, b in zip(self._products[0].split([block.shape[0] for block in rows], dim=1), rows, strict=True):
            if b.is_mkldnn:
                into += torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
            else:
                into.addmm_(a, b.to(a.dtype).T)

    def products(self) -> Tensor:
        """Return float32 [n, m]."""
        return self._products.sum(dim=0)

    def lengths(self) -> Tensor:
        """Return float32 [n]."""
        assert self._squares is not None
        return self._squares.sum(dim=0).sqrt().float()


def _fills(rows: int) -> bool:
    return WASTE * (BLOCK - rows) <= BLOCK
