"""Why an example was scored as it was. Filled in by the explanation, shown by every renderer."""

from less_core.refs import Record


class Neighbour(Record):
    """A target example near to the explained one. `text` is from the target and not to be trusted."""

    number: int  # from 1, in the order of the target's rows
    subtask: str
    similarity: float  # the weighted sum over checkpoints, as in a score
    text: str


class Contribution(Record):
    """What a checkpoint adds to the score of the best subtask."""

    checkpoint: str
    weight: float
    similarity: float  # with the subtask, at this checkpoint

    @property
    def share(self) -> float:
        return self.weight * self.similarity


class Why(Record):
    """An example's score for a target, taken apart. Methods that go by words, or by nothing, have no neighbours and no checkpoints."""

    target: str
    score: float | None  # None where it has none
    status: str
    rank: int  # 1 is best; 0 without a score
    scored: int
    selected: bool
    best_subtask: str | None
    contributions: list[Contribution]
    nearest: list[Neighbour]
