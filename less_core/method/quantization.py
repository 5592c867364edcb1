"""Features in fewer bytes: half floats, 8-bit integers or sign bits (QLESS, Ananta et al. 2025, arXiv 2502.01703).

A row is stored as small numbers and, for integers and signs, one scale. int8: the largest coordinate is 127. sign: the scale is one over
the sum of absolute values, so that the inner product of a packed row with its own feature is exactly 1. An inner product is taken with the
small numbers and scaled afterwards; no row is ever widened but in a piece that stays in cache.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "float16": torch.float16, "int8": torch.int8, "sign": torch.uint8}
SCALED = ("int8", "sign")
_SIGNS_OF_BYTE = 1.0 - 2.0 * ((torch.arange(256)[:, None] >> torch.arange(8)) & 1)  # bit j of a byte is coordinate j; set where negative
TINY = 1e-12  # the scale of a row of zeros is one over this


@dataclass(frozen=True)
class Packed:
    """Rows of `dim` coordinates as they are stored.

    Args:
        storage: float32, float16, int8 or sign.
        values: [rows, dim] of that dtype; for sign uint8 [rows, dim / 8].
        scales: float32 [rows] for int8 and sign, else None.
    """

    storage: str
    values: Tensor
    scales: Tensor | None = None

    @property
    def dim(self) -> int:
        return self.values.shape[1] * (8 if self.storage == "sign" else 1)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, places: Tensor) -> "Packed":
        return Packed(self.storage, self.values[places], self.scales[places] if self.scales is not None else None)

    def pieces(self, rows: int) -> Iterator["Packed"]:
        """Yield views of at most so many rows."""
        for start in range(0, len(self), rows):
            stop = start + rows
            yield Packed(self.storage, self.values[start:stop], self.scales[start:stop] if self.scales is not None else None)

    def widen(self, out: Tensor) -> Tensor:
        """Write the rows without their scales into float32 [rows, dim] and return it."""
        if self.storage == "sign":
            torch.index_select(_SIGNS_OF_BYTE, 0, self.values.flatten().int(), out=out.view(-1, 8))
            return out
        return out.copy_(self.values)

    def floats(self) -> Tensor:
        """Return float32 [rows, dim]."""
        wide = self.widen(torch.empty(len(self), self.dim))
        return wide if self.scales is None else wide.mul_(self.scales[:, None])


def pack(features: Tensor, storage: str) -> Packed:
    """Return features float32 [rows, dim] as they are to be stored; `dim` is a multiple of 8 for sign."""
    if storage == "sign":
        bits = np.empty((len(features), features.shape[1] // 8), dtype=np.uint8)
        for row, out in zip(features.numpy(), bits, strict=True):  # one at a time: a shard of them has little room beside it
            out[:] = np.packbits(row < 0, bitorder="little")
        return Packed(storage, torch.from_numpy(bits), 1 / torch.linalg.vector_norm(features, ord=1, dim=1).clamp_min(TINY))
    if storage == "int8":
        scales = features.abs().amax(dim=1).clamp_min(TINY) / 127
        return Packed(storage, (features / scales[:, None]).round_().to(torch.int8), scales)
    return Packed(storage, features.to(DTYPES[storage]))


def row_bytes(storage: str, dim: int) -> int:
    """Return the bytes that a row takes."""
    if storage == "sign":
        return dim // 8 + 4
    return dim * DTYPES[storage].itemsize + 4 * (storage in SCALED)
