"""Several rankings that are taken from in turn: of targets, of subtasks."""

import math
from collections.abc import Callable, Iterable, Sequence

from less_core.selection.budget import Budget
from less_core.selection.ranking import Candidate


def take_in_turn(
    rankings: Sequence[Iterable[Candidate]],
    budget: Budget,
    accept: Callable[[Candidate], bool] = lambda candidate: True,
    *,
    shortest: int = 1,
) -> list[Candidate]:
    """Return what is taken in turn from each ranking's best remaining, without repeats, within the budget.

    Args:
        rankings: Best first: of one target, or of each subtask, each target example or each target.
        budget: An example that is longer than what is left of a budget of tokens is passed over: a shorter one may still fit.
        accept: Asked of each example that fits once, in the order of taking; what it refuses is passed over.
        shortest: Tokens of the shortest example that may come. Where less is left of the budget, no more is read.
    """
    taken: list[Candidate] = []
    met: set[str] = set()
    used = 0
    queues = [iter(ranking) for ranking in rankings]
    while queues:
        for queue in list(queues):
            if budget.count is not None and len(taken) == budget.count:
                return taken
            left = math.inf if budget.tokens is None else budget.tokens - used
            if left < shortest:
                return taken
            for candidate in queue:
                if candidate.example_id not in met:
                    met.add(candidate.example_id)
                    if candidate.tokens <= left and accept(candidate):
                        break
            else:
                queues.remove(queue)
                continue
            used += candidate.tokens
            taken.append(candidate)
    return taken
