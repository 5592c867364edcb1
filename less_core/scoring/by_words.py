"""Scores of the methods that go by an example's words, or by nothing: BM25, DSIR, random."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from less_core.features.target_rows import ScoredTarget
from less_core.scoring.random import random_scores

TextMethod = Literal["random", "bm25", "dsir"]
Texts = Callable[[], Iterable[str]]


@dataclass(frozen=True)
class TargetTexts:
    """A target's examples as texts, and each one's subtask by its number."""

    target: ScoredTarget
    texts: list[str]
    subtask_of: list[int]


def score_texts(
    method: TextMethod, example_ids: Sequence[str], texts: Texts, targets: Sequence[TargetTexts], seed: int
) -> list[NDArray[np.float32]]:
    """Return for each target float32 [examples, subtasks].

    BM25 scores every subtask. DSIR compares the pool with a target as a whole, and random looks at nothing: their one column is the whole
    target's.

    Args:
        method: Which of them.
        example_ids: The pool's.
        texts: Gives the pool's texts in the order of `example_ids`, anew at each call.
        targets: The targets.
        seed: Of what is drawn.
    """
    # Imported by the methods that need them: scikit-learn alone takes half a second of every run's start.
    if method == "bm25":
        from less_core.scoring.bm25 import Bm25

        bm25 = Bm25(texts())
        return [bm25.scores(t.texts, t.subtask_of, len(t.target.subtasks)) for t in targets]
    drawn = [random_scores(example_ids, seed, f"{method} {t.target.name}") for t in targets]
    if method == "dsir":
        from less_core.scoring.dsir import Dsir, gumbel

        dsir = Dsir(texts())
        drawn = [dsir.log_weights(t.texts) + gumbel(d) for t, d in zip(targets, drawn, strict=True)]
    return [d.astype(np.float32)[:, None] for d in drawn]


def whole_target(target: ScoredTarget) -> ScoredTarget:
    """Return a target of one subtask, which is all of it."""
    return ScoredTarget(target.name, [target.name], target.examples, target.unusable, target.left_out)
