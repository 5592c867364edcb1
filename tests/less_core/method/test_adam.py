"""Adam's update against a literal loop in float64 and against torch's own optimizer."""

import math

import pytest
import torch
from torch import Tensor

from less_core.method.adam import EPSILON, Fidelity, adam_update, epsilon_share

BETAS = (0.9, 0.999)
FIDELITIES: tuple[Fidelity, ...] = ("less-code", "paper")


def inputs(batch: int = 3, size: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients and moments of many sizes, so that epsilon matters for some coordinates and not for others."""
    generator = torch.Generator().manual_seed(0)
    scale = 10.0 ** torch.linspace(-7, 0, size)
    gradient = torch.randn(batch, size, generator=generator) * scale
    first = torch.randn(size, generator=generator) * scale
    second = torch.rand(size, generator=generator) * scale**2
    return gradient, first, second


def literal(gradient: float, m: float, v: float, step: int, beta1: float, beta2: float, fidelity: str) -> float:
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * gradient**2
    if fidelity == "less-code":
        return m / math.sqrt(v + 1e-8)
    return (m / (1 - beta1 ** (step + 1))) / (math.sqrt(v / (1 - beta2 ** (step + 1))) + 1e-8)


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("step", [1, 17, 5000])
@pytest.mark.parametrize("betas", [BETAS, (0.8, 0.95)])
def test_adam_update_equals_a_literal_loop(fidelity: Fidelity, step: int, betas: tuple[float, float]) -> None:
    gradient, first, second = inputs()
    expected = [
        [literal(g, m, v, step, *betas, fidelity) for g, m, v in zip(row, first.tolist(), second.tolist(), strict=True)]
        for row in gradient.tolist()
    ]
    ours = adam_update(gradient.clone(), first, second, step=step, beta1=betas[0], beta2=betas[1], fidelity=fidelity)
    torch.testing.assert_close(ours.double(), torch.tensor(expected, dtype=torch.float64), rtol=2e-5, atol=1e-9)


def test_adam_update_of_the_two_fidelities_differs() -> None:
    gradient, first, second = inputs()
    ours = [adam_update(gradient.clone(), first, second, step=9, beta1=0.9, beta2=0.999, fidelity=fidelity) for fidelity in FIDELITIES]
    assert not torch.allclose(*ours, rtol=0.1)


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_adam_update_of_the_paper_is_what_torch_would_move_next(steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    rate = 0.125
    parameter = torch.nn.Parameter(torch.zeros(30, dtype=torch.float64))
    optimizer = torch.optim.Adam([parameter], lr=rate, betas=BETAS, eps=EPSILON)

    def step() -> Tensor:
        parameter.grad = torch.randn(30, generator=generator, dtype=torch.float64) * 1e-3
        before = parameter.detach().clone()
        optimizer.step()
        return before - parameter.detach()

    for _ in range(steps):
        step()
    state = {name: value.clone() for name, value in optimizer.state[parameter].items()}
    moved = step() / rate
    ours = adam_update(
        parameter.grad.float()[None].clone(),
        state["exp_avg"].float(),
        state["exp_avg_sq"].float(),
        step=int(state["step"]),
        beta1=BETAS[0],
        beta2=BETAS[1],
        fidelity="paper",
    )
    assert int(state["step"]) == steps
    torch.testing.assert_close(ours[0].double(), moved, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_adam_update_does_not_depend_on_what_the_scratch_held(fidelity: Fidelity) -> None:
    gradient, first, second = inputs()
    arguments = {"step": 3, "beta1": 0.9, "beta2": 0.999, "fidelity": fidelity}
    without = adam_update(gradient.clone(), first, second, **arguments)
    with_ = adam_update(gradient.clone(), first, second, **arguments, scratch=torch.full_like(gradient, torch.nan))
    assert torch.equal(with_, without)


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_adam_update_works_in_place_and_leaves_the_moments(fidelity: Fidelity) -> None:
    gradient, first, second = inputs()
    kept = first.clone(), second.clone()
    out = adam_update(gradient, first, second, step=3, beta1=0.9, beta2=0.999, fidelity=fidelity)
    assert out is gradient
    assert torch.equal(first, kept[0])
    assert torch.equal(second, kept[1])


def test_epsilon_share_counts_coordinates_below_epsilon() -> None:
    second = torch.tensor([0.0, 0.9e-8, 1.5e-8, 2.5e-8, 1.0])
    assert epsilon_share(second, beta2=0.5) == 0.6
    assert epsilon_share(second, beta2=0.999) == 0.4
    assert epsilon_share(second, beta2=0.999, epsilon=10.0) == 1.0
