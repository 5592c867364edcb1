"""The update that Adam would make from one example's gradient (Xia et al. 2024, section 3; Kingma and Ba 2015)."""

from typing import Literal

import torch
from torch import Tensor

Fidelity = Literal["less-code", "paper"]

EPSILON = 1e-8


def adam_update(
    gradient: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    *,
    step: int,
    beta1: float,
    beta2: float,
    fidelity: Fidelity,
    epsilon: float = EPSILON,
    scratch: Tensor | None = None,
) -> Tensor:
    """Turn a batch of gradients into Gamma(z), in place, and return it.

    ``less-code``: (b1 m + (1-b1) g) / sqrt(b2 v + (1-b2) g^2 + eps), as the released code computes it: no bias correction,
    epsilon inside the root. ``paper``: m_hat / (sqrt(v_hat) + eps) with bias correction for step t + 1.

    Args:
        gradient: [batch, n] float32, overwritten.
        first_moment: [n] float32, Adam's m after `step` optimizer steps.
        second_moment: [n] float32, Adam's v.
        step: Optimizer steps taken so far, t.
        scratch: [batch, n] float32 to compute in. On a CPU a fresh allocation costs more than the arithmetic.
    """
    inside_root = epsilon if fidelity == "less-code" else 0.0
    denominator = torch.empty_like(gradient) if scratch is None else scratch
    torch.addcmul(beta2 * second_moment + inside_root, gradient, gradient, value=1 - beta2, out=denominator)
    torch.add(beta1 * first_moment, gradient, alpha=1 - beta1, out=gradient)
    if fidelity == "paper":
        gradient.div_(1 - beta1 ** (step + 1))
        denominator.div_(1 - beta2 ** (step + 1)).sqrt_().add_(epsilon)
    else:
        denominator.sqrt_()
    return gradient.div_(denominator)


def epsilon_share(second_moment: Tensor, *, beta2: float, epsilon: float = EPSILON) -> float:
    """Return the share of coordinates with b2 v < eps, where epsilon inside the root makes Adam's denominator flat."""
    return float((beta2 * second_moment < epsilon).double().mean())
