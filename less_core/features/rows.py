"""Features of examples, row by row, and the status of an example that has none."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

OK, NO_LABEL, NONFINITE = "ok", "no_label", "nonfinite"
NOT_SHORTLISTED = "not_shortlisted"  # has features, and no exact score


@dataclass(frozen=True)
class Features:
    """Features of some examples, in their order. Rows that are not `ok` are zero.

    Of a projection they have norm 1. Of target gradients they are the inner products with the gradient's direction.
    """

    example_ids: list[str]
    features: Tensor  # float32 [examples, width], divided by `norms`
    norms: Tensor  # float32 [examples], of the projections, or of the gradients themselves
    losses: Tensor  # float32 [examples]
    num_tokens: list[int]
    num_label_tokens: list[int]
    status: list[str]

    def of(self, example_ids: Collection[str]) -> "Features":
        """Return those of some of the examples, in the order they have here."""
        wanted = set(example_ids)
        places = [place for place, example_id in enumerate(self.example_ids) if example_id in wanted]
        if len(places) == len(self.example_ids):
            return self
        return Features(
            example_ids=[self.example_ids[place] for place in places],
            features=self.features[places],
            norms=self.norms[places],
            losses=self.losses[places],
            num_tokens=[self.num_tokens[place] for place in places],
            num_label_tokens=[self.num_label_tokens[place] for place in places],
            status=[self.status[place] for place in places],
        )


class Rows(NamedTuple):
    """What one pass makes of a batch, of one kind: float32 values [batch, width], and the norms [batch] they are to be divided by."""

    values: Tensor
    norms: Tensor
