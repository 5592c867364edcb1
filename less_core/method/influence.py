"""Influence scores from features (Xia et al. 2024, section 4.2).

Both fidelities are a product with one vector a subtask: the mean over a subtask's examples of <f(z), s(z')> is <f(z), mean s(z')>.
"""

from itertools import repeat
from typing import Literal

import torch
from torch import Tensor

from less_core.method.adam import Fidelity
from less_core.method.quantization import Packed

Similarity = Literal["cosine", "dot"]

PIECE = 256  # examples at most, and as few as make 8 MB of float32
COORDINATES = 1 << 21


def subtask_vectors(
    features: Tensor, norms: Tensor, subtask_of: Tensor, subtasks: int, fidelity: Fidelity, similarity: Similarity = "cosine"
) -> Tensor:
    """Return float32 [subtasks, dim], what train features are multiplied with at one checkpoint.

    ``less-code``: the mean of the normalised target features. ``paper``: the direction of the mean target gradient. With the dot product
    both are the mean target gradient itself.

    Args:
        features: [examples, dim], normalised.
        norms: [examples], what the features were divided by.
        subtask_of: int64 [examples], each example's subtask; every subtask has at least one.
        subtasks: Number of subtasks.
        similarity: cosine, or the dot product.
    """
    rows = features.float()
    if fidelity == "paper" or similarity == "dot":
        rows = rows * norms.float()[:, None]
    counts = torch.bincount(subtask_of, minlength=subtasks)
    mean = torch.zeros(subtasks, rows.shape[1]).index_add_(0, subtask_of, rows) / counts[:, None]
    return torch.nn.functional.normalize(mean, dim=1) if fidelity == "paper" and similarity == "cosine" else mean


def add_influence(scores: Tensor, features: Packed, vectors: Tensor, weight: float, norms: Tensor | None = None) -> None:
    """Add one checkpoint's share, ``weight * features @ vectors.T``, into float32 [examples, subtasks].

    With `norms` [examples], what the features were divided by, each row is multiplied by its own: the dot product.

    Features are widened to float32 a piece at a time in one buffer that stays in cache: a fresh float32 copy of them all would
    cost more than the product. Scales are put on the few products, not on the many coordinates.
    """
    piece = min(PIECE, max(1, COORDINATES // features.dim))
    buffer = torch.empty(min(piece, len(features)), features.dim)
    factors = norms.split(piece) if norms is not None else repeat(None)
    for rows, out, factor in zip(features.pieces(piece), scores.split(piece), factors, strict=False):
        wide = rows.widen(buffer[: len(rows)])
        scale = rows.scales if factor is None else factor if rows.scales is None else factor * rows.scales
        if scale is None:
            out.addmm_(wide, vectors.T, alpha=weight)
        else:
            out.add_((wide @ vectors.T).mul_(scale[:, None]), alpha=weight)


def checkpoint_weights(learning_rates: list[float], *, uniform: bool = False) -> list[float]:
    """Return w_i = eta_i / sum of eta; equal weights where that is asked for, or every learning rate is zero."""
    total = 0.0 if uniform else sum(learning_rates)
    return [rate / total if total else 1 / len(learning_rates) for rate in learning_rates]


def best_subtask(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the score of each example, its maximum over subtasks, and which subtask that is; both [examples]."""
    best, subtask = scores.max(dim=1)
    return best, subtask
