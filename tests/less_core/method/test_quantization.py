"""Packed features: what each storage keeps, its bytes, and that an inner product of packed rows is nearly that of the rows."""

import pytest
import torch

from less_core.method.quantization import DTYPES, Packed, pack, row_bytes


def rows(count: int = 50, dim: int = 512, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize(("storage", "error"), [("float32", 0.0), ("float16", 2**-11), ("int8", 0.5 / 127)])
def test_a_coordinate_is_kept_to_the_rounding_of_its_storage(storage: str, error: float) -> None:
    features = rows()
    largest = features.abs().amax(dim=1, keepdim=True)
    assert ((pack(features, storage).floats() - features).abs() <= error * largest * (1 + 1e-3)).all()


def test_signs_are_kept_one_bit_each_and_give_a_row_the_product_one_with_itself() -> None:
    features = rows()
    packed = pack(features, "sign")
    assert packed.values.shape == (50, 64)
    assert torch.equal(packed.floats().sign(), torch.where(features < 0, -1.0, 1.0))
    torch.testing.assert_close((packed.floats() * features).sum(dim=1), torch.ones(50))


def test_sign_bits_are_little_endian_within_a_byte() -> None:
    features = torch.ones(1, 16)
    features[0, [0, 9]] = -1
    assert pack(features, "sign").values.tolist() == [[1, 2]]


@pytest.mark.parametrize("storage", list(DTYPES))
def test_inner_products_of_packed_rows_are_unbiased_and_as_near_as_the_storage_allows(storage: str) -> None:
    a, b = rows(seed=1), rows(seed=2)
    b = torch.nn.functional.normalize(a + b, dim=1)  # cosines of about 0.7
    error = (pack(a, storage).floats() * b).sum(dim=1) - (a * b).sum(dim=1)
    # Of signs alone: the part of b that is not along a, of length 0.7, is met by noise of (pi / 2 - 1)^(1/2) / dim^(1/2) a unit, 0.024.
    bound = {"float32": 1e-6, "float16": 1e-4, "int8": 1e-3, "sign": 0.03}[storage]
    assert float(error.square().mean().sqrt()) < bound
    assert abs(float(error.mean())) < bound / 3


@pytest.mark.parametrize("storage", list(DTYPES))
def test_rows_taken_out_and_pieces_are_those_of_the_whole(storage: str) -> None:
    packed = pack(rows(), storage)
    places = torch.tensor([3, 0, 49])
    assert torch.equal(packed[places].floats(), packed.floats()[places])
    pieces = list(packed.pieces(16))
    assert [len(piece) for piece in pieces] == [16, 16, 16, 2]
    assert torch.equal(torch.cat([piece.floats() for piece in pieces]), packed.floats())
    assert all(piece.dim == packed.dim == 512 for piece in pieces)


@pytest.mark.parametrize("storage", list(DTYPES))
def test_a_row_of_zeros_packs_to_something_finite(storage: str) -> None:
    packed = pack(torch.zeros(1, 64), storage)
    assert torch.isfinite(packed.floats()).all()


@pytest.mark.parametrize(("storage", "expected"), [("float32", 4096), ("float16", 2048), ("int8", 1028), ("sign", 132)])
def test_row_bytes_are_those_of_the_numbers_and_the_scale(storage: str, expected: int) -> None:
    packed = pack(rows(1, 1024), storage)
    scale = packed.scales.nbytes if packed.scales is not None else 0
    assert row_bytes(storage, 1024) == packed.values.nbytes + scale == expected


def test_widening_writes_into_the_buffer_it_is_given() -> None:
    packed = Packed("sign", torch.tensor([[255, 0]], dtype=torch.uint8), torch.ones(1))
    buffer = torch.full((1, 16), torch.nan)
    assert packed.widen(buffer).data_ptr() == buffer.data_ptr()
    assert buffer.tolist() == [[-1.0] * 8 + [1.0] * 8]
