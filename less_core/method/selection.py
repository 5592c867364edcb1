"""Which examples to keep: the best first, within a budget, in memory that grows with the selection and not with the pool."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


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


@dataclass
class Ranking:
    """The best examples offered so far, kept within a budget: highest score first, ties by example id."""

    budget: Budget
    example_ids: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype="U32"))
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    tokens: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    best_cut: tuple[float, str] | None = None  # the best example that did not fit; nothing that ranks after it can enter any more

    def offer(self, example_ids: NDArray[np.str_], scores: NDArray[np.float64], tokens: NDArray[np.int64]) -> None:
        """Take in examples; those with a score that is not finite are left out, then all that exceed the budget.

        A token budget is filled in order and ends before the first example that would exceed it.
        """
        keep = np.isfinite(scores)
        if self.best_cut is not None:
            score, example_id = self.best_cut
            keep &= (scores > score) | ((scores == score) & (example_ids < example_id))
        self.example_ids = np.concatenate([self.example_ids, example_ids[keep]])
        self.scores = np.concatenate([self.scores, scores[keep]])
        self.tokens = np.concatenate([self.tokens, tokens[keep]])
        order = np.lexsort((self.example_ids, -self.scores))
        offered = order
        if self.budget.count is not None:
            order = order[: self.budget.count]
        if self.budget.tokens is not None:
            order = order[np.cumsum(self.tokens[order]) <= self.budget.tokens]
        if len(order) < len(offered):
            first = offered[len(order)]
            self.best_cut = float(self.scores[first]), str(self.example_ids[first])
        self.example_ids, self.scores, self.tokens = self.example_ids[order], self.scores[order], self.tokens[order]


class Candidate(NamedTuple):
    """An example that may be selected."""

    example_id: str
    tokens: int
    score: float


def take_in_turn(
    rankings: Sequence[Iterable[Candidate]], budget: Budget, accept: Callable[[Candidate], bool] = lambda candidate: True
) -> list[Candidate]:
    """Return what is taken in turn from each ranking's best remaining, without repeats, within the budget.

    Args:
        rankings: Best first: of one target, or of each subtask, each target example or each target.
        budget: A budget of tokens ends before the first example that would exceed it.
        accept: Asked of each example once, in the order of taking; what it refuses is passed over.
    """
    taken: list[Candidate] = []
    met: set[str] = set()
    used = 0
    queues = [iter(ranking) for ranking in rankings]
    while queues:
        for queue in list(queues):
            if budget.count is not None and len(taken) == budget.count:
                return taken
            for candidate in queue:
                if candidate.example_id not in met:
                    met.add(candidate.example_id)
                    if accept(candidate):
                        break
            else:
                queues.remove(queue)
                continue
            used += candidate.tokens
            if budget.tokens is not None and used > budget.tokens:
                return taken
            taken.append(candidate)
    return taken


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
