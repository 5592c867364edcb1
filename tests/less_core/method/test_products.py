"""Inner products of a few very long vectors."""

import pytest
import torch

from less_core.method.products import PIECE, add_products


@pytest.mark.parametrize("coordinates", [1, PIECE - 1, PIECE, 3 * PIECE, 3 * PIECE + 7])
@pytest.mark.parametrize("rows", [1, 5])
def test_products_are_those_of_the_whole_vectors_and_are_added(coordinates: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    a, wide = torch.randn(rows, coordinates, generator=generator), torch.randn(57, coordinates + 3, generator=generator)
    b = wide[:, 2 : 2 + coordinates]  # target gradients are a part of wider rows
    out = torch.ones(rows, 57)
    add_products(out, a, b)
    expected = 1 + a.double() @ b.double().T
    # float32 sums of as many terms of size 1: their error grows with the root of their number
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=1e-5 * coordinates**0.5)
    assert out.dtype == torch.float32
