"""Several rankings that are taken from in turn: of targets, of subtasks."""

from collections.abc import Callable, Iterable, Sequence

from less_core.selection.budget import Budget
from less_core.selection.ranking import Candidate


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
