"""Inner products of a few very long vectors."""

import pytest
import torch

from less_core.method.products import PIECE, add_products

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("coordinates", [1, PIECE - 1, PIECE, 3 * PIECE, 3 * PIECE + 7])
@pytest.mark.parametrize(("rows", "targets"), [(1, 57), (5, 70), pytest.param(40, 57, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("by_kernel", [False, True])
def test_products_are_those_of_the_whole_vectors_and_are_added(
    coordinates: int, rows: int, targets: int, dtype: torch.dtype, by_kernel: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    a, wide = torch.randn(rows, coordinates, generator=generator), torch.randn(targets, coordinates + 3, generator=generator)
    a, wide = a.to(DEVICE), wide.to(DEVICE, dtype)
    b = wide[:, 2 : 2 + coordinates]  # target gradients are a part of wider rows
    out, squares = torch.ones(rows, targets, device=DEVICE), torch.ones(rows, dtype=torch.float64, device=DEVICE)
    if by_kernel:
        pytest.importorskip("less_core.method.kernels", reason="needs triton").products_add(out, a, b, squares)
    else:
        add_products(out, a, b, squares)
    expected = 1 + a.double() @ b.double().T
    # float32 sums of as many terms of size 1: their error grows with the root of their number
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=1e-5 * coordinates**0.5)
    torch.testing.assert_close(squares, 1 + a.double().square().sum(dim=1), rtol=1e-6, atol=1e-6)
    assert out.dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 11, 100])
def test_compiled_products_at_full_size_equal_float64(rows: int, dtype: torch.dtype) -> None:
    generator = torch.Generator(DEVICE).manual_seed(0)
    a = torch.randn(rows, 4096 * 128, device=DEVICE, generator=generator)
    b = torch.randn(57, 4096 * 128, device=DEVICE, generator=generator).to(dtype)
    out, squares = torch.zeros(rows, 57, device=DEVICE), torch.zeros(rows, dtype=torch.float64, device=DEVICE)
    add_products(out, a, b, squares)
    expected = a.double() @ b.double().T
    assert float((out - expected).norm() / expected.norm()) < 1e-6  # values rounded to tf32 would make it 2e-4
    torch.testing.assert_close(squares, a.double().square().sum(dim=1), rtol=1e-6, atol=0)
