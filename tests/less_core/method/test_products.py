"""Inner products of a few very long vectors."""

import pytest
import torch

from less_core.method import products
from less_core.method.products import BLOCK, Products, laid_out_rows, lay_out

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("coordinates", [(1,), (259, 1031)])
@pytest.mark.parametrize(("updates", "rows"), [(1, 57), (5, 70), (3, 121), pytest.param(40, 57, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("by_kernel", [False, True])
def test_products_and_lengths_are_those_of_the_whole_vectors(
    monkeypatch: pytest.MonkeyPatch, coordinates: tuple[int, ...], updates: int, rows: int, dtype: torch.dtype, by_kernel: bool
) -> None:
    if by_kernel:
        pytest.importorskip("less_core.method.kernels", reason="needs triton")
    monkeypatch.setattr(products, "has_kernels", lambda device: by_kernel)
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(updates, sum(coordinates), generator=generator).to(DEVICE)
    b = torch.randn(rows, sum(coordinates), generator=generator).to(DEVICE, dtype)
    sums = Products(updates, rows, DEVICE, lengths=True)
    for update, row in zip(a.split(coordinates, dim=1), b.split(coordinates, dim=1), strict=True):
        sums.add(update.contiguous(), [row.contiguous()] if by_kernel else lay_out(row.contiguous()))
    # float32 sums of as many terms of size 1: their error grows with the root of their number
    torch.testing.assert_close(sums.products().double(), a.double() @ b.double().T, rtol=0, atol=1e-5 * sum(coordinates) ** 0.5)
    torch.testing.assert_close(sums.lengths().double(), a.double().norm(dim=1), rtol=1e-6, atol=0)
    assert sums.products().dtype == torch.float32


@pytest.mark.parametrize("by_kernel", [False, True])
def test_an_update_that_is_not_a_number_leaves_the_products_of_the_others(monkeypatch: pytest.MonkeyPatch, by_kernel: bool) -> None:
    if by_kernel:
        pytest.importorskip("less_core.method.kernels", reason="needs triton")
    monkeypatch.setattr(products, "has_kernels", lambda device: by_kernel)
    a, b = torch.ones(3, 500, device=DEVICE), torch.ones(60, 500, device=DEVICE)
    a[1, 7] = torch.nan
    sums = Products(3, 60, DEVICE, lengths=False)
    sums.add(a, [b] if by_kernel else lay_out(b))
    assert sums.products().isnan().all(dim=1).tolist() == [False, True, False]
    assert (sums.products()[::2] == 500).all()


@pytest.mark.parametrize("rows", [1, 9, 55, 56, 57, 64, 65, 121, 128])
def test_memory_of_rows_is_foreseen_and_at_most_a_seventh_more_than_theirs(rows: int) -> None:
    blocks = lay_out(torch.ones(rows, 10))
    assert sum(block.shape[0] for block in blocks) == rows
    taken = laid_out_rows(rows)
    if torch.backends.mkldnn.is_available():
        assert taken == sum(BLOCK if block.is_mkldnn else len(block) for block in blocks)
    assert rows <= taken <= rows * 8 / 7


def test_rows_stay_as_they_are_where_torch_has_no_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    rows = torch.ones(57, 10)
    assert lay_out(rows) == [rows]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 11, 100])
def test_compiled_products_at_full_size_equal_float64(rows: int, dtype: torch.dtype) -> None:
    generator = torch.Generator(DEVICE).manual_seed(0)
    a = torch.randn(rows, 4096 * 128, device=DEVICE, generator=generator)
    b = torch.randn(57, 4096 * 128, device=DEVICE, generator=generator).to(dtype)
    sums = Products(rows, 57, DEVICE, lengths=True)
    sums.add(a, lay_out(b))
    expected = a.double() @ b.double().T
    assert float((sums.products() - expected).norm() / expected.norm()) < 1e-6  # values rounded to tf32 would make it 2e-4
    torch.testing.assert_close(sums.lengths().double(), a.double().norm(dim=1), rtol=1e-6, atol=0)
