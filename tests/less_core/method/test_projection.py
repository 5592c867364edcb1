"""Projections: pure functions of (seed, coordinate), and the mean and variance of inner products that the theory promises."""

import itertools
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from less_core.errors import ConfigError
from less_core.method import projection
from less_core.method.projection import FastJL, Projection, Rademacher, Sketch, make_projection, multiprocessor_count

CPU = torch.device("cpu")
DIM = 64
SIZE = 3 * DIM + 17
KINDS = ("sketch", "rademacher")


def project(kind: str, values: Tensor, seed: int = 0, *, dim: int = DIM, cuts: tuple[int, ...] = (), start: int = 0) -> Tensor:
    """Project rows in slices cut at `cuts`, leaving `values` as they are."""
    made = make_projection(kind, dim, seed, CPU)
    out = torch.zeros(len(values), dim)
    edges = [0, *cuts, values.shape[1]]
    for low, high in itertools.pairwise(edges):
        made.add(out, values[:, low:high].clone(), start + low)
    return out


def matrix(kind: str, seed: int) -> Tensor:
    """P as a matrix [SIZE, DIM]."""
    return project(kind, torch.eye(SIZE), seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_projection_is_the_same_for_the_same_seed_and_another_for_another(kind: str) -> None:
    values = normal(3, SIZE)
    assert torch.equal(project(kind, values, 5), project(kind, values, 5))
    assert not torch.allclose(project(kind, values, 5), project(kind, values, 6))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(1, SIZE - 1), unique=True, max_size=6).map(sorted), start=st.integers(0, 1000))
def test_projection_of_slices_adds_up_to_the_projection_of_the_whole(kind: str, cuts: list[int], start: int) -> None:
    values = normal(2, SIZE)
    whole = project(kind, values, start=start)
    torch.testing.assert_close(project(kind, values, cuts=tuple(cuts), start=start), whole, rtol=1e-5, atol=1e-5)


def test_sketch_of_slices_is_bit_equal_where_every_bin_adds_in_the_same_order() -> None:
    values = normal(2, SIZE)
    assert torch.equal(project("sketch", values, cuts=(1, 63, 64, 100, 192, 200)), project("sketch", values))


@pytest.mark.parametrize("kind", KINDS)
def test_projection_depends_on_where_a_slice_stands(kind: str) -> None:
    values = normal(1, SIZE)
    assert not torch.allclose(project(kind, values, start=0), project(kind, values, start=DIM))


@pytest.mark.parametrize("kind", KINDS)
def test_projection_of_an_example_does_not_depend_on_its_batch(kind: str) -> None:
    values = normal(5, SIZE)
    alone = torch.cat([project(kind, row[None]) for row in values])
    torch.testing.assert_close(project(kind, values), alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_projection_is_linear_and_adds_to_what_is_there(kind: str) -> None:
    values, there = normal(2, SIZE), normal(1, DIM, seed=1)
    out = there.clone()
    make_projection(kind, DIM, 0, CPU).add(out, (2 * values[:1] - 3 * values[1:]).clone(), 0)
    one, other = project(kind, values)
    torch.testing.assert_close(out, there + 2 * one - 3 * other, rtol=1e-4, atol=1e-4)


def test_sketch_has_one_entry_a_coordinate_and_no_collision_within_a_block() -> None:
    entries = matrix("sketch", 3)
    assert torch.equal(entries.abs().sum(dim=1), torch.ones(SIZE))
    for block in entries.split(DIM):
        assert entries.abs().max() == 1
        assert block.abs().sum(dim=0).max() == 1


def test_sketch_rolls_blocks_by_shifts_that_differ() -> None:
    long = project("sketch", torch.eye(40 * DIM))[::DIM]  # the first coordinate of every block
    assert len(set(long.abs().argmax(dim=1).tolist())) > 10


def test_rademacher_has_entries_of_one_over_root_dim() -> None:
    entries = matrix("rademacher", 3)
    torch.testing.assert_close(entries.abs(), torch.full_like(entries, DIM**-0.5))


def test_rademacher_is_the_same_however_many_rows_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = matrix("rademacher", 0)
    monkeypatch.setattr(Rademacher, "rows", 7)
    torch.testing.assert_close(matrix("rademacher", 0), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_projection_keeps_the_identity_on_average(kind: str) -> None:
    seeds = 600
    mean = sum((p := matrix(kind, seed)) @ p.T for seed in range(seeds)) / seeds  # [SIZE, SIZE], E[P^T P]
    # One entry has a standard deviation of 1 / sqrt(dim * seeds) = 0.005; the largest of 21,945 stays below 6 of them.
    assert (mean - torch.eye(SIZE)).abs().max() < 6 / (DIM * seeds) ** 0.5


def dense_variance(x: Tensor, y: Tensor) -> float:
    return float(((x @ x) * (y @ y) + (x @ y) ** 2 - 2 * (x * x * y * y).sum()) / DIM)


def block_variance(x: Tensor, y: Tensor) -> float:
    """The sketch's own: only coordinates of different blocks collide, so a block's share comes off whole."""
    within = sum((a @ a) * (b @ b) + (a @ b) ** 2 for a, b in zip(x.split(DIM), y.split(DIM), strict=True))
    return float(((x @ x) * (y @ y) + (x @ y) ** 2 - within) / DIM)


def one_big_coordinate_a_block() -> tuple[Tensor, Tensor]:
    """Vectors whose mass stands in four coordinates, one a block, where the sketch's variance is the dense one's."""
    x, y = torch.zeros(SIZE), torch.zeros(SIZE)
    places = [5, DIM + 5, 2 * DIM + 40, 3 * DIM + 2]
    x[places], y[places] = torch.tensor([3.0, 1.0, 0.5, -2.0]), torch.tensor([2.0, -1.0, 1.0, 0.5])
    return x, y


def inner_products(kind: str, x: Tensor, y: Tensor, seeds: int) -> Tensor:
    pair = torch.stack([x, y])
    return torch.stack([a @ b for a, b in (project(kind, pair, seed) for seed in range(seeds))]).double()


CASES: list[tuple[str, Callable[[], tuple[Tensor, Tensor]], Callable[[Tensor, Tensor], float]]] = [
    ("rademacher", one_big_coordinate_a_block, dense_variance),
    ("sketch", one_big_coordinate_a_block, dense_variance),
    ("rademacher", lambda: (normal(SIZE, seed=1), normal(SIZE, seed=2)), dense_variance),
    ("sketch", lambda: (normal(SIZE, seed=1), normal(SIZE, seed=2)), block_variance),
]


@pytest.mark.parametrize(("kind", "make", "variance"), CASES)
def test_inner_products_have_the_promised_mean_and_variance(kind: str, make, variance) -> None:
    x, y = make()
    seeds = 6000
    products = inner_products(kind, x, y, seeds)
    expected = variance(x, y)
    assert abs(float(products.mean()) - float(x @ y)) < 4 * (expected / seeds) ** 0.5
    assert float(products.var()) == pytest.approx(expected, rel=0.15)


def test_the_variance_cases_can_tell_the_last_term_of_the_formula() -> None:
    x, y = one_big_coordinate_a_block()
    without = dense_variance(x, y) + 2 * float((x * x * y * y).sum()) / DIM
    assert without > 1.5 * dense_variance(x, y)
    assert block_variance(x, y) == pytest.approx(dense_variance(x, y))


def test_make_projection_refuses_an_unknown_kind() -> None:
    with pytest.raises(ConfigError, match=r"features.projection.kind: expected sketch, rademacher or fast-jl, got 'gauss'"):
        make_projection("gauss", DIM, 0, CPU)


@pytest.mark.parametrize(("kind", "type_"), [("sketch", Sketch), ("rademacher", Rademacher)])
def test_make_projection_makes_what_was_asked_for(kind: str, type_: type) -> None:
    made: Projection = make_projection(kind, DIM, 0, CPU)
    assert type(made) is type_
    assert made.dim == DIM


def test_fast_jl_is_refused_on_a_cpu() -> None:
    with pytest.raises(ConfigError, match=r"expected a CUDA device, got cpu. Use kind: rademacher"):
        make_projection("fast-jl", 512, 0, CPU)


def test_fast_jl_without_its_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fast_jl", None)
    with pytest.raises(ConfigError, match="less-flow\\[fast-jl\\]"):
        make_projection("fast-jl", 512, 0, torch.device("cuda"))


@pytest.fixture
def fast_jl_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, int, int, int]]:
    """A stand-in for the CUDA library that notes what it is handed and answers with ones."""
    calls: list[tuple[Tensor, int, int, int]] = []

    def project_rademacher_8(values: Tensor, dim: int, seed: int, multiprocessors: int) -> Tensor:
        calls.append((values, dim, seed, multiprocessors))
        return torch.ones(len(values), dim)

    module = ModuleType("fast_jl")
    module.project_rademacher_8 = project_rademacher_8
    monkeypatch.setitem(sys.modules, "fast_jl", module)
    monkeypatch.setattr(projection, "multiprocessor_count", lambda device: 132)
    return calls


def test_fast_jl_hands_over_contiguous_floats_with_dim_seed_and_multiprocessors(fast_jl_calls) -> None:
    out = torch.zeros(2, 512)
    values = normal(2, 40)
    FastJL(512, 7, torch.device("cuda")).add(out, values[:, 3:30], 3)
    [(handed, dim, seed, multiprocessors)] = fast_jl_calls
    assert handed.is_contiguous()
    assert handed.dtype == torch.float32
    assert torch.equal(handed, values[:, 3:30])
    assert (dim, multiprocessors) == (512, 132)
    assert 0 <= seed < 2**31
    torch.testing.assert_close(out, torch.full((2, 512), 512**-0.5))


def test_fast_jl_gives_slices_and_seeds_seeds_of_their_own_and_the_same_each_time(fast_jl_calls) -> None:
    out = torch.zeros(1, 512)
    for seed in (7, 7, 8):
        made = FastJL(512, seed, torch.device("cuda"))
        for start in (0, 10):
            made.add(out, torch.ones(1, 10), start)
    seeds = [seed for _, _, seed, _ in fast_jl_calls]
    assert seeds[:2] == seeds[2:4]
    assert len(set(seeds)) == 4
    torch.testing.assert_close(out, torch.full((1, 512), 6 * 512**-0.5))  # added to what was there


def test_multiprocessor_count_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(multi_processor_count=108))
    assert multiprocessor_count(torch.device("cuda")) == 108
