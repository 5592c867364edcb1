"""Influence scores against literal loops over examples, in Python's own floats."""

import math

import pytest
import torch
from torch import Tensor

from less_core.method.influence import PIECE, add_influence, best_subtask, checkpoint_weights, subtask_vectors
from less_core.method.quantization import pack

STORAGES = ("float32", "float16", "int8", "sign")
FIDELITIES = ("less-code", "paper")
SUBTASK_OF = torch.tensor([0, 1, 0, 2, 1, 0])


def features(count: int, dim: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Normalised rows and what they were divided by, of sizes that differ by orders of magnitude."""
    raw = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    raw = raw * 10.0 ** torch.linspace(-2, 2, count, dtype=torch.float64)[:, None]
    norms = raw.norm(dim=1)
    return (raw / norms[:, None]).float(), norms.float()


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def scores(fidelity: str, train: Tensor, target: Tensor, norms: Tensor) -> Tensor:
    out = torch.zeros(len(train), 3)
    add_influence(out, pack(train, "float32"), subtask_vectors(target, norms, SUBTASK_OF, 3, fidelity), 1.0)
    return out


def test_influence_of_less_code_is_the_mean_of_cosines_within_a_subtask() -> None:
    train, _ = features(4, seed=1)
    target, norms = features(6)
    ours = scores("less-code", train, target, norms)
    for row, f in enumerate(train.tolist()):
        for subtask in range(3):
            members = [s for s, of in zip(target.tolist(), SUBTASK_OF.tolist(), strict=True) if of == subtask]
            assert float(ours[row, subtask]) == pytest.approx(sum(dot(f, s) for s in members) / len(members), abs=1e-6)


def test_influence_of_the_paper_is_the_cosine_with_the_mean_gradient_of_a_subtask() -> None:
    train, _ = features(4, seed=1)
    target, norms = features(6)
    ours = scores("paper", train, target, norms)
    for row, f in enumerate(train.tolist()):
        for subtask in range(3):
            places = [i for i, of in enumerate(SUBTASK_OF.tolist()) if of == subtask]
            mean = [sum(float(norms[i] * target[i, d]) for i in places) / len(places) for d in range(train.shape[1])]
            assert float(ours[row, subtask]) == pytest.approx(dot(f, mean) / math.sqrt(dot(mean, mean)), abs=1e-5)


def test_influence_of_the_two_fidelities_differs_where_target_gradients_differ_in_size() -> None:
    train, _ = features(4, seed=1)
    target, norms = features(6)
    assert not torch.allclose(scores("paper", train, target, norms), scores("less-code", train, target, norms), atol=0.05)


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_dot_product_is_that_of_the_gradients_themselves_meaned_within_a_subtask(fidelity: str) -> None:
    train, train_norms = features(4, seed=1)
    target, norms = features(6)
    ours = torch.zeros(4, 3)
    add_influence(ours, pack(train, "float32"), subtask_vectors(target, norms, SUBTASK_OF, 3, fidelity, "dot"), 0.25, train_norms)
    for row in range(4):
        whole = [float(train_norms[row]) * x for x in train[row].tolist()]
        for subtask in range(3):
            members = [i for i, of in enumerate(SUBTASK_OF.tolist()) if of == subtask]
            mean = sum(dot(whole, [float(norms[i]) * x for x in target[i].tolist()]) for i in members) / len(members)
            assert float(ours[row, subtask]) == pytest.approx(0.25 * mean, rel=1e-4)


def test_dot_product_scales_every_row_by_its_own_norm_across_pieces() -> None:
    train, norms = features(2 * PIECE + 3, seed=1)
    vectors, _ = features(3, seed=2)
    for storage in STORAGES:
        stored, out = pack(train, storage), torch.ones(len(train), 3)
        before = stored.values.clone()
        add_influence(out, stored, vectors, 0.5, norms)
        torch.testing.assert_close(out, 1 + 0.5 * (stored.floats() * norms[:, None]) @ vectors.T)
        assert torch.equal(stored.values, before)


@pytest.mark.parametrize("storage", ["int8", "sign"])
def test_cosines_scale_every_packed_row_by_its_own_scale_across_pieces(storage: str) -> None:
    train, _ = features(2 * PIECE + 3, seed=1)
    vectors, _ = features(3, seed=2)
    stored, out = pack(train, storage), torch.ones(len(train), 3)
    add_influence(out, stored, vectors, 0.5)
    torch.testing.assert_close(out, 1 + 0.5 * stored.floats() @ vectors.T)


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_influence_does_not_depend_on_the_order_of_target_examples(fidelity: str, similarity: str) -> None:
    target, norms = features(6)
    turned = torch.tensor([3, 5, 0, 4, 1, 2])
    one = subtask_vectors(target, norms, SUBTASK_OF, 3, fidelity, similarity)
    other = subtask_vectors(target[turned], norms[turned], SUBTASK_OF[turned], 3, fidelity, similarity)
    torch.testing.assert_close(one, other)


def test_influence_adds_checkpoints_by_weight_to_what_is_there() -> None:
    train, _ = features(4, seed=1)
    vectors, _ = features(3, seed=2)
    out = torch.ones(4, 3)
    add_influence(out, pack(train, "float16"), vectors, 0.25)
    add_influence(out, pack(train, "float16"), vectors, 0.75)
    torch.testing.assert_close(out, 1 + train.half().float() @ vectors.T)


def test_checkpoint_weights_are_learning_rates_over_their_sum() -> None:
    assert checkpoint_weights([3e-5, 1e-5]) == pytest.approx([0.75, 0.25])
    assert checkpoint_weights([0.0, 0.0, 0.0, 0.0]) == [0.25] * 4


def test_checkpoint_weights_are_equal_where_that_is_asked_for() -> None:
    assert checkpoint_weights([3e-5, 1e-5, 0.0, 2e-5], uniform=True) == [0.25] * 4
    assert checkpoint_weights([3e-5], uniform=True) == [1.0]


def test_best_subtask_takes_the_maximum_across_and_the_first_of_equals() -> None:
    best, subtask = best_subtask(torch.tensor([[0.1, 0.5, -1.0], [-3.0, -2.0, -2.0], [0.0, 0.0, 0.0]]))
    assert best.tolist() == [0.5, -2.0, 0.0]
    assert subtask.tolist() == [1, 1, 0]
