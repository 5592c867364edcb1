"""Features of fewer dimensions made of wider ones, so that a sweep over dimensions takes no gradient twice.

A projection of K dimensions gives one of k: of a dense random matrix any k columns are one themselves; of a sketch, bins put together
K / k at a time are a sketch. Which bins go together is drawn at random: neighbours, or bins a fixed step apart, would let coordinates
meet that belong to one row or column of a weight matrix in every block alike.
"""

import torch
from torch import Tensor

from less_core.method.hashing import derive_seed, random_words


def narrow(features: Tensor, norms: Tensor, kind: str, dim: int) -> tuple[Tensor, Tensor]:
    """Return features float32 [examples, dim], of norm 1, and what they were divided by, [examples]; rows of zeros stay so.

    Args:
        features: [examples, K], of norm 1; `dim` divides K.
        norms: [examples], what they were divided by.
        kind: Of the projection: sketch, rademacher or fast-jl.
        dim: k.
    """
    wide = features.float()
    stored = wide.shape[1]
    if kind == "sketch":
        order = torch.argsort(random_words(derive_seed("narrow"), torch.arange(stored, device=wide.device)))
        few = wide[:, order].view(len(wide), dim, stored // dim).sum(dim=2)
    else:
        few = wide[:, :dim] * (stored / dim) ** 0.5
    length = few.norm(dim=1)
    return torch.nn.functional.normalize(few, dim=1), norms * length
