"""How much is selected: a count or a number of tokens, and the share of it that a pool may have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """At most `count` examples and at most `tokens` tokens; None is no bound."""

    count: int | None = None
    tokens: int | None = None


def make_budget(by: str, amount: float, examples: int) -> Budget:
    """Return the budget for a pool of `examples` distinct examples; a fraction is rounded down, to at least one."""
    if by == "tokens":
        return Budget(tokens=int(amount))
    if by == "count":
        return Budget(count=int(amount))
    return Budget(count=max(1, math.floor(round(amount * examples, 6))))  # 0.29 * 100 is 28.999... in binary


class Quotas:
    """The room that pools still have in a selection.

    Args:
        budget: Of the selection.
        shares: Of each pool with a quota, its largest share of the budget.
    """

    def __init__(self, budget: Budget, shares: Mapping[str, float]) -> None:
        whole = budget.count if budget.tokens is None else budget.tokens
        self._by_tokens = budget.tokens is not None
        self._room = {pool: math.floor(round(share * (whole or 0), 6)) for pool, share in shares.items()}

    def has_room(self, pool: str, tokens: int) -> bool:
        """Tell whether an example of the pool may still be taken."""
        return pool not in self._room or self._room[pool] >= self._cost(tokens)

    def take(self, pool: str, tokens: int) -> None:
        """Count an example that was taken."""
        if pool in self._room:
            self._room[pool] -= self._cost(tokens)

    def _cost(self, tokens: int) -> int:
        return tokens if self._by_tokens else 1
