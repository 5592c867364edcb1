"""Narrowing: what is made of wide features is what a narrow projection would have given, in the mean and in the noise."""

import pytest
import torch
from torch import Tensor

from less_core.method.narrowing import narrow
from less_core.method.projection import make_projection

CPU = torch.device("cpu")
WIDE, DIM = 256, 64
SIDE = 64  # the vectors are matrices of SIDE x SIDE, flattened: a row is as long as the narrow dimension, and divides the wide one
KINDS = ("sketch", "rademacher")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def narrowed(rows: Tensor, kind: str, dim: int = DIM) -> Tensor:
    """Narrow rows of any length, as features and norms, and put them together again."""
    norms = rows.norm(dim=1)
    features, norms = narrow(rows / norms[:, None], norms, kind, dim)
    return features * norms[:, None]


def project(kind: str, dim: int, seed: int, values: Tensor) -> Tensor:
    out = torch.zeros(len(values), dim)
    make_projection(kind, dim, seed, CPU).add(out, values.clone(), 0)
    return out


def columns(places: list[int], seed: int) -> Tensor:
    """A matrix of nothing but these columns."""
    matrix = torch.zeros(SIDE, SIDE)
    matrix[:, places] = normal(SIDE, len(places), seed=seed)
    return matrix.flatten()


SHARED = normal(SIDE, seed=9)
CASES: dict[str, tuple[Tensor, Tensor]] = {
    "gaussian": (normal(SIDE**2, seed=1), normal(SIDE**2, seed=2)),
    "outer products with one row": (
        torch.outer(normal(SIDE, seed=3), SHARED).flatten(),
        torch.outer(normal(SIDE, seed=4), SHARED).flatten(),
    ),
    "outer products with one column": (
        torch.outer(SHARED, normal(SIDE, seed=3)).flatten(),
        torch.outer(SHARED, normal(SIDE, seed=4)).flatten(),
    ),
    # In every block alike: bins a fixed step apart would let the coordinates of a column meet, neighbours those of two columns.
    "one column": (columns([5], 1), columns([5], 2)),
    "two columns": (columns([5, 6], 1), columns([5, 6], 2)),
}


def direct_variance(kind: str, x: Tensor, y: Tensor) -> float:
    """Of the inner product under a projection to DIM itself; of the sketch, coordinates of one block of DIM never collide."""
    size = DIM if kind == "sketch" else 1
    together = sum((a @ a) * (b @ b) + (a @ b) ** 2 for a, b in zip(x.split(size), y.split(size), strict=True))
    return float(((x @ x) * (y @ y) + (x @ y) ** 2 - together) / DIM)


def products(kind: str, pairs: list[tuple[Tensor, Tensor]], seeds: int) -> Tensor:
    """Inner products [seeds, pairs] after a wide projection and narrowing."""
    values = torch.stack([vector for pair in pairs for vector in pair])
    found = []
    for seed in range(seeds):
        rows = narrowed(project(kind, WIDE, seed, values), kind).view(len(pairs), 2, DIM)
        found.append((rows[:, 0] * rows[:, 1]).sum(dim=1))
    return torch.stack(found).double()


def assert_as_a_direct_projection(kind: str, found: Tensor, x: Tensor, y: Tensor) -> None:
    expected = direct_variance(kind, x, y)
    assert abs(float(found.mean()) - float(x @ y)) < 4 * (expected / len(found)) ** 0.5
    assert float(found.var()) == pytest.approx(expected, rel=0.15)


@pytest.fixture(scope="module")
def sketched() -> dict[str, Tensor]:
    return dict(zip(CASES, products("sketch", list(CASES.values()), 3000).T, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_narrowed_sketch_keeps_inner_products_with_the_variance_of_a_sketch_that_narrow(sketched: dict[str, Tensor], case: str) -> None:
    assert_as_a_direct_projection("sketch", sketched[case], *CASES[case])


def test_the_column_cases_can_tell_bins_that_were_put_together_by_a_rule() -> None:
    for case, rule in (
        ("one column", lambda rows: rows.view(len(rows), WIDE // DIM, DIM).sum(dim=1)),
        ("two columns", lambda rows: rows.view(len(rows), DIM, WIDE // DIM).sum(dim=2)),
    ):
        pair = torch.stack(CASES[case])
        found = torch.stack([a @ b for a, b in (rule(project("sketch", WIDE, seed, pair)) for seed in range(1000))])
        assert float(found.var()) > 1.3 * direct_variance("sketch", *CASES[case])


def test_narrowed_rademacher_keeps_inner_products_with_the_variance_of_one_that_narrow() -> None:
    pairs = [(x[:256], y[:256]) for x, y in (CASES["gaussian"], CASES["outer products with one row"])]
    for found, pair in zip(products("rademacher", pairs, 2000).T, pairs, strict=True):
        assert_as_a_direct_projection("rademacher", found, *pair)


def test_narrowed_rademacher_is_a_rademacher_matrix_of_the_first_columns() -> None:
    wide = project("rademacher", WIDE, 3, torch.eye(40))
    few = narrowed(wide, "rademacher")
    torch.testing.assert_close(few.abs(), torch.full((40, DIM), DIM**-0.5))
    assert torch.equal(few.sign(), wide[:, :DIM].sign())


def test_fast_jl_is_narrowed_as_any_dense_matrix() -> None:
    rows = normal(3, WIDE)
    assert torch.equal(narrowed(rows, "fast-jl"), narrowed(rows, "rademacher"))


@pytest.mark.parametrize("dim", [1, 32, DIM, 128])
def test_narrowed_sketch_puts_every_bin_into_one_of_equal_groups(dim: int) -> None:
    groups = narrowed(torch.eye(WIDE), "sketch", dim)
    assert set(groups.unique().tolist()) <= {0.0, 1.0}
    assert groups.sum(dim=1).tolist() == [1.0] * WIDE
    assert groups.sum(dim=0).tolist() == [WIDE / dim] * dim


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_is_linear_and_gives_rows_of_norm_one_and_what_they_were_divided_by(kind: str) -> None:
    rows = normal(5, WIDE) * 10.0 ** torch.arange(-2, 3)[:, None]
    norms = rows.norm(dim=1)
    features, lengths = narrow(rows / norms[:, None], norms, kind, DIM)
    matrix = narrowed(torch.eye(WIDE), kind)
    expected = rows @ matrix
    torch.testing.assert_close(lengths, expected.norm(dim=1), rtol=1e-5, atol=0)
    torch.testing.assert_close(features, expected / expected.norm(dim=1)[:, None], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_does_the_same_to_every_row_whatever_stands_beside_it(kind: str) -> None:
    rows = torch.nn.functional.normalize(normal(7, WIDE), dim=1)
    norms = torch.arange(1.0, 8.0)
    features, lengths = narrow(rows, norms, kind, DIM)
    for i in range(7):
        alone, length = narrow(rows[i : i + 1], torch.ones(1), kind, DIM)
        torch.testing.assert_close(alone[0], features[i])
        torch.testing.assert_close(length[0] * norms[i], lengths[i])


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_takes_features_in_half_precision_and_leaves_them_as_they_are(kind: str) -> None:
    rows = torch.nn.functional.normalize(normal(3, WIDE), dim=1).half()
    before = rows.clone()
    features, lengths = narrow(rows, torch.ones(3), kind, DIM)
    assert (features.dtype, lengths.dtype) == (torch.float32, torch.float32)
    assert torch.equal(rows, before)
    torch.testing.assert_close(features, narrow(rows.float(), torch.ones(3), kind, DIM)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_zeros_stay_zero(kind: str) -> None:
    rows = torch.cat([torch.zeros(1, WIDE), torch.nn.functional.normalize(normal(1, WIDE), dim=1)])
    features, lengths = narrow(rows, torch.tensor([0.0, 2.0]), kind, DIM)
    assert not features[0].any()
    assert lengths[0] == 0
    torch.testing.assert_close(features[1].norm(), torch.tensor(1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_to_the_stored_dimension_keeps_every_inner_product_and_norm(kind: str) -> None:
    rows = torch.nn.functional.normalize(normal(4, WIDE), dim=1)
    norms = torch.arange(1.0, 5.0)
    features, lengths = narrow(rows, norms, kind, WIDE)
    torch.testing.assert_close(features @ features.T, rows @ rows.T)
    torch.testing.assert_close(lengths, norms)
