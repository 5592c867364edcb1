"""Inner products of a few very long vectors."""

import pytest
import torch

from less_core.method.products import BLOCK, add_products, laid_out_rows, lay_out

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("coordinates", [1, 2047, 6151])
@pytest.mark.parametrize(("updates", "rows"), [(1, 57), (5, 70), (3, 121), pytest.param(40, 57, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("by_kernel", [False, True])
def test_products_are_those_of_the_whole_vectors_and_are_added(
    coordinates: int, updates: int, rows: int, dtype: torch.dtype, by_kernel: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(updates, coordinates, generator=generator).to(DEVICE), torch.randn(rows, coordinates, generator=generator)
    b = b.to(DEVICE, dtype)
    out, squares = torch.ones(updates, rows, device=DEVICE), torch.ones(updates, dtype=torch.float64, device=DEVICE)
    if by_kernel:
        pytest.importorskip("less_core.method.kernels", reason="needs triton").products_add(out, a, b, squares)
    else:
        add_products(out, a, lay_out(b), squares)
    expected = 1 + a.double() @ b.double().T
    # float32 sums of as many terms of size 1: their error grows with the root of their number
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=1e-5 * coordinates**0.5)
    torch.testing.assert_close(squares, 1 + a.double().square().sum(dim=1), rtol=1e-6, atol=1e-6)
    assert out.dtype == torch.float32


def test_an_update_that_is_not_a_number_leaves_the_products_of_the_others() -> None:
    a, b = torch.ones(3, 500, device=DEVICE), torch.ones(60, 500, device=DEVICE)
    a[1, 7] = torch.nan
    out = torch.zeros(3, 60, device=DEVICE)
    add_products(out, a, lay_out(b))
    assert out.isnan().all(dim=1).tolist() == [False, True, False]
    assert (out[::2] == 500).all()


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
    out, squares = torch.zeros(rows, 57, device=DEVICE), torch.zeros(rows, dtype=torch.float64, device=DEVICE)
    add_products(out, a, lay_out(b), squares)
    expected = a.double() @ b.double().T
    assert float((out - expected).norm() / expected.norm()) < 1e-6  # values rounded to tf32 would make it 2e-4
    torch.testing.assert_close(squares, a.double().square().sum(dim=1), rtol=1e-6, atol=0)
