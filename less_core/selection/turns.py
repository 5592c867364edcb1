"""Takes examples from several rankings in turn, one ranking for each target or subtask."""

import math
from collections.abc import Callable, Iterable, Sequence

from less_core.selection.budget import Budget
from less_core.selection.ranking import Candidate

# The last tokens of a budget would else be looked for through the whole pool, whose order is costly to make to its end.
MISFITS = 1000


def take_in_turn(
    rankings: Sequence[Iterable[Candidate]], budget: Budget, accept: Callable[[Candidate], bool] = lambda candidate: True
) -> list[Candidate]:
    """Return what is taken in turn from each ranking's best remaining, without repeats, within the budget.

    Args:
        rankings: Best first: of one target, or of each subtask, each target example or each target.
        budget: An example that is longer than what is left of a budget of tokens is passed over: a shorter one may still fit.
            After `MISFITS` in a row the budget counts as full.
        accept: Asked of each example that fits once, in the order of taking; what it refuses is passed over.
    """
    taken: list[Candidate] = []
    met: set[str] = set()
    left = math.inf if budget.tokens is None else budget.tokens
    misfits = 0
    queues = [iter(ranking) for ranking in rankings]
    while queues:
        for queue in list(queues):
            if len(taken) == budget.count or not left:
                return taken
            for candidate in queue:
                if candidate.example_id in met:
                    continue
                met.add(candidate.example_id)
                if candidate.tokens <= left:
                    if accept(candidate):
                        break
                    continue
                misfits += 1
                if misfits == MISFITS:
                    return taken
            else:
                queues.remove(queue)
                continue
            left -= candidate.tokens
            misfits = 0
            taken.append(candidate)
    return taken
